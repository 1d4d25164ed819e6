"""What is known about a table: the kinds of its columns and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from automl.engine.trial import TaskType

# Cells that hold nothing else are missing. The word "None" is not among them: it is a level as often as
# not, so reading takes it for missing only where everything else in a column is a number.
MISSING_MARKS = (
    "", "?", "-", "--", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "NULL", "null", "#N/A", "#NA", "<NA>"
)  # fmt: skip


class ColumnKind(StrEnum):
    """How a column is used: numeric, categorical, datetime, text and boolean are features."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    DATETIME = "datetime"
    TEXT = "text"
    BOOLEAN = "boolean"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"

    @property
    def is_feature(self) -> bool:
        return self not in (ColumnKind.IDENTIFIER, ColumnKind.CONSTANT)


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column of a table.

    Attributes
    ----------
    name : str
        Unique in the table; empty and duplicate headers have been given names.
    kind : ColumnKind
    missing : int
        Cells that are empty or hold one of the marks for missing values.
    unique : int
        Distinct values, missing ones not counted.
    statistics : dict
        JSON values: numeric has min, max, mean, std, median and ``histogram``
        (``{"edges": [...], "counts": [...]}``); the others have ``top``, a list of
        ``[value, count]``, most frequent first, at most 20; datetime has min and max as ISO text.
    datetime_format : str or None
        The strptime format of a datetime column, or ``"ISO8601"``.
    dtype : str
        How the column is stored in the table's file: ``int64``, ``float64``, ``bool``, ``string``
        or ``timestamp``.
    """

    name: str
    kind: ColumnKind
    missing: int
    unique: int
    statistics: dict[str, Any] = field(default_factory=dict)
    datetime_format: str | None = None
    dtype: str = "string"


@dataclass(frozen=True, slots=True)
class TableProfile:
    """What profiling found in one table.

    Attributes
    ----------
    rows : int
    columns : tuple of ColumnProfile
    duplicates : int
        Rows that repeat an earlier row in every cell.
    warnings : tuple of str
        Sentences for the user: repaired headers, ragged rows, mixed types.
    dialect : dict
        How the file was written: ``format`` (csv, parquet, xlsx), ``encoding``, ``delimiter``,
        ``decimal``; enough to read another file of the same making.
    suggested_target : str or None
    suggested_task_type : TaskType or None
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int = 0
    warnings: tuple[str, ...] = ()
    dialect: dict[str, str] = field(default_factory=dict)
    suggested_target: str | None = None
    suggested_task_type: TaskType | None = None


@dataclass(frozen=True, slots=True)
class DataProfile:
    """What a learner may know about the encoded table when it names its space and its cost.

    Attributes
    ----------
    rows : int
        Rows used for training and validation.
    numeric : int
        Columns of the encoded matrix that are numbers.
    cardinalities : tuple of int
        One entry for each column of the encoded matrix that holds category codes: its levels.
    categorical : tuple of int
        The positions of those columns in the encoded matrix.
    task_type : TaskType
    classes : int
        Number of classes; 0 for regression.
    missing_share : float
        Share of missing cells among the numeric columns.
    metric : str
    skew : float
        The skewness of a positive target whose logarithm is less skewed; else 0.
    log_offset : float
        What is added to the target before its logarithm is taken. Where it is not 0 the metric compares such
        logarithms, and they are what to learn.
    twins : float
        Share of rows that are like another one in every column.
    words : tuple of int
        The positions of the numbers that components of a text's words are; on one scale, and never missing.
    minor : tuple of int
        Those of them that each say so little that trees leave them out.
    texts : tuple of (int, int, int)
        Of texts whose words are told one by one: the position of the first, how many there may be, and how
        many words are known. These columns are no numbers to be split by or added up, see `WithWords`.
    filled : float
        The share of those places that a word stands in.
    is_positive : bool
        Whether every number of the target is above 0; tables that were prepared before say no.
    rarest : int
        Rows of the rarest class; 0 for numbers, and for tables that were prepared before.
    """

    rows: int
    numeric: int
    task_type: TaskType
    classes: int = 0
    cardinalities: tuple[int, ...] = ()
    categorical: tuple[int, ...] = ()
    missing_share: float = 0.0
    metric: str = "roc_auc"
    skew: float = 0.0
    log_offset: float = 0.0
    twins: float = 0.0
    words: tuple[int, ...] = ()
    minor: tuple[int, ...] = ()
    texts: tuple[tuple[int, int, int], ...] = ()
    filled: float = 0.0
    is_positive: bool = False
    rarest: int = 0

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> DataProfile:
        """Make it of what `dataclasses.asdict` gave, perhaps in another version."""
        known = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        kinds = {"task_type": TaskType(found["task_type"])}
        tuples = ("cardinalities", "categorical", "words", "minor")
        positions = {name: tuple(found.get(name, ())) for name in tuples}
        texts = tuple((first, slots, words) for first, slots, words in found.get("texts", ()))
        return cls(**{**known, **kinds, **positions, "texts": texts})

    @property
    def columns(self) -> int:
        """How many columns of the encoded matrix are numbers or categories."""
        return self.numeric + len(self.cardinalities)

    @property
    def places(self) -> tuple[int, ...]:
        """The positions of all columns that words of texts stand in."""
        return tuple(place for first, slots, _ in self.texts for place in range(first, first + slots))
