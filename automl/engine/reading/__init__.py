"""From an uploaded file, of whatever making, to one memory-mappable table; and reading that table."""

from automl.engine.reading.convert import ReadLimits, ReadReport, convert_table
from automl.engine.reading.stored import check_table, preview, read_frame, read_stored

__all__ = ["ReadLimits", "ReadReport", "check_table", "convert_table", "preview", "read_frame", "read_stored"]
