from __future__ import annotations

from uuid import uuid4

import pytest
from django.urls import reverse

from automl.pages import sections


def test_only_pages_that_are_there_are_linked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        sections, "SECTIONS", (("pages:experiment", "Leaderboard"), ("pages:nowhere", "Nothing"))
    )
    id = uuid4()
    assert [each.label for each in sections.sections_of(id, "")] == ["Leaderboard"]


def test_the_page_that_shows_the_links_is_marked():
    id = uuid4()
    here = reverse("pages:experiment", args=[id])
    assert [each.label for each in sections.sections_of(id, here) if each.current] == ["Leaderboard"]
