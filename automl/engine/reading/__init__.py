"""From an uploaded file, of whatever making, to one memory-mappable table; and reading that table.

Names are looked up when they are used: the web process shows a few rows and must not pay for pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.engine.reading.convert import ReadLimits, ReadReport, convert_table
    from automl.engine.reading.stored import check_table, preview, read_frame, read_stored

__all__ = ["ReadLimits", "ReadReport", "check_table", "convert_table", "preview", "read_frame", "read_stored"]

_HOMES = {
    **dict.fromkeys(("ReadLimits", "ReadReport", "convert_table"), "automl.engine.reading.convert"),
    **dict.fromkeys(("check_table", "preview", "read_frame", "read_stored"), "automl.engine.reading.stored"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
