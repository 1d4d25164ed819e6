"""The pages of an experiment, in the order of its sub-navigation. A page that is not there is not shown."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.urls import NoReverseMatch, reverse

# The name of the view, and what people call the page.
SECTIONS = (
    ("pages:experiment", "Leaderboard"),
    ("pages:dials", "By hand"),
    ("pages:sweeps", "Sweeps"),
    ("pages:search", "Search"),
    ("pages:insight", "What mattered"),
    ("pages:compare", "Compare"),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A link of the sub-navigation."""

    address: str
    label: str
    current: bool


def sections_of(experiment_id: UUID, path: str) -> list[Section]:
    """The links for one experiment; `path` is the address of the page that shows them."""
    found = [(address_of(name, experiment_id), label) for name, label in SECTIONS]
    links = [(address, label) for address, label in found if address]
    # A live fragment lies under the page that polls it.
    here = max((address for address, _ in links if path.startswith(address)), key=len, default="")
    return [Section(address, label, address == here) for address, label in links]


def address_of(name: str, id: UUID) -> str | None:
    """The address of a page, or None where there is no such page."""
    try:
        return reverse(name, args=[id])
    except NoReverseMatch:
        return None
