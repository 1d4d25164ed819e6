"""The parts that a card is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Code:
    """A name or a value as it is written in the data."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """Words that are to be seen first."""

    text: str


# A sentence or more: words, of which names from the data are told apart.
Text = str | Code | Strong | tuple[str | Code | Strong, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: Text


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; columns in `numeric` are set right."""

    header: Sequence[str]
    rows: Sequence[Sequence[Text]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines of code or of a shell."""

    text: str
    language: str = "sh"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the same figures as a table for those who read text.

    Attributes
    ----------
    svg : str
        Drawn by `charts`, which escapes what it is told; colours are those of the page.
    """

    title: str
    svg: str
    caption: Text
    table: Table


Block = Paragraph | Items | Table | Listing | Chart


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is seen first: what it is, and what to hold it against."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A card: what a manager reads, then what an engineer does.

    Attributes
    ----------
    title, subtitle : str
    figures : sequence of Figure
    summary : sequence of Section
        In plain words.
    details : sequence of Section
    """

    title: str
    subtitle: Text
    figures: Sequence[Figure]
    summary: Sequence[Section]
    details: Sequence[Section] = field(default_factory=list)


def parts_of(text: Text) -> tuple[str | Code | Strong, ...]:
    return text if isinstance(text, tuple) else (text,)
