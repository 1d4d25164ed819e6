"""Writes `model.skops`: as skops does, but for the blanks in its schema."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import KeysView
from typing import Any


class _Archive(zipfile.ZipFile):
    """An archive that is asked before each array whether it is there: of thousands a list takes minutes."""

    def namelist(self) -> KeysView[str]:  # type: ignore[override]
        return self.NameToInfo.keys()


def skops_bytes(found: Any) -> bytes:
    """Write an object as a skops file.

    `skops.io.dumps` indents the schema, level by level: of 120 pipelines with splines of 60 columns it made
    83 MB of it, for which the end of a search waited.

    Parameters
    ----------
    found : object

    Returns
    -------
    bytes
        What `skops.io.loads` reads.
    """
    import skops.io  # registers how each type is written
    from skops.io._utils import SaveContext, get_state

    buffer = io.BytesIO()
    with _Archive(buffer, "w", compression=zipfile.ZIP_STORED) as archive:
        context = SaveContext(zip_file=archive)
        state = get_state(found, context)
        context.clear_memo()
        state |= {"protocol": context.protocol, "_skops_version": skops.__version__}
        archive.writestr("schema.json", json.dumps(state, separators=(",", ":")))
    return buffer.getvalue()
