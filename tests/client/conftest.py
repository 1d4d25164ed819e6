from __future__ import annotations

import pytest

from automl.client import transport


@pytest.fixture
def naps(monkeypatch):
    """Time does not pass; how long one would have waited is kept."""
    naps: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", naps.append)
    return naps
