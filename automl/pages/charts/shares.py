"""How something was shared among families, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl.pages.charts.plane import BOTTOM, RIGHT, WIDTHS, Plane, Tick, ticks

HEIGHT = 220
LEFT, TOP = 46, 10
# Every number of columns divides it.
FINE = 224
COLUMNS = {"wide": 32, "narrow": 14}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesChart(Plane):
    """All blocks of a family are one path."""

    paths: tuple[tuple[str, str], ...]


ShareRow = tuple[float, list[float]]
Spell = tuple[str, float, float]  # a family, and from when to when it had a seat


@dataclass(frozen=True, slots=True)
class SharedTime:
    """The seconds of each family in each of many equal spans, from the start to the last end."""

    last: float
    fine: list[dict[str, float]]

    def columns(self, count: int) -> list[dict[str, float]]:
        """The same in fewer spans; their number divides that of the fine ones."""
        size = len(self.fine) // count
        columns: list[dict[str, float]] = []
        for place in range(count):
            column: dict[str, float] = {}
            for part in self.fine[place * size : (place + 1) * size]:
                for family, seconds in part.items():
                    column[family] = column.get(family, 0.0) + seconds
            columns.append(column)
        return columns


def shared_time(spells: Sequence[Spell]) -> SharedTime | None:
    """Who had the seats when, read once for every drawing; None before anything has ended."""
    last = max((end for _, _, end in spells), default=0.0)
    return SharedTime(last, seat_time(spells, last, FINE)) if last > 0 else None


def shares_over_time(time: SharedTime | None, families: Sequence[str]) -> list[SharesChart]:
    """The share of each family in each span of the search."""
    return [_drawn(name, width, time, families) for name, width in WIDTHS] if time else []


def shares_table(time: SharedTime | None, families: Sequence[str], rows: int = 8) -> list[ShareRow]:
    """The same as a table of a few spans: their ends, and the share of each family."""
    if time is None:
        return []
    table = []
    last = time.last
    for place, column in enumerate(time.columns(rows), start=1):
        total = sum(column.values()) or 1.0
        table.append((place * last / rows, [column.get(family, 0.0) / total for family in families]))
    return table


def _drawn(name: str, width: int, time: SharedTime, families: Sequence[str]) -> SharesChart:
    count = COLUMNS[name]
    columns, last = time.columns(count), time.last
    step = (width - LEFT - RIGHT) / count
    tall = HEIGHT - TOP - BOTTOM
    paths = dict.fromkeys(families, "")
    for place, column in enumerate(columns):
        total = sum(column.values())
        y = float(HEIGHT - BOTTOM)
        x, wide = round(LEFT + place * step, 1), round(step - 1, 1)
        for family in families:
            share = column.get(family, 0.0) / total if total > 0 else 0.0
            if share > 0.002:
                high = round(share * tall, 1)
                y -= share * tall
                paths[family] += f"M{x} {round(y, 1)}h{wide}v{high}h-{wide}z"
    shown = [value for value in ticks(0.0, last, 8 if name == "wide" else 4) if value <= last]
    return SharesChart(
        size=name,
        paths=tuple((family, path) for family, path in paths.items() if path),
        x_ticks=tuple(
            Tick(round(LEFT + value / last * (width - LEFT - RIGHT), 1), f"{value:g}") for value in shown
        ),
        y_ticks=tuple(
            Tick(round(HEIGHT - BOTTOM - share * tall, 1), f"{share:.0%}") for share in (0.0, 0.5, 1.0)
        ),
        x_label="Seconds since the start",
        y_label="Share of the seats",
        width=width,
        height=HEIGHT,
        left=LEFT,
        top=TOP,
    )


def seat_time(spells: Sequence[Spell], last: float, count: int) -> list[dict[str, float]]:
    """The seconds of each family in each of so many equal spans from 0 to `last`."""
    span = last / count
    columns: list[dict[str, float]] = [{} for _ in range(count)]
    for family, start, end in spells:
        begun = max(start, 0.0)
        first, final = min(int(begun / span), count - 1), min(int(end / span), count - 1)
        if first == final:
            columns[first][family] = columns[first].get(family, 0.0) + max(end - begun, 0.0)
            continue
        for place in range(first, final + 1):
            part = min(end, (place + 1) * span) - max(begun, place * span)
            if part > 0:
                columns[place][family] = columns[place].get(family, 0.0) + part
    return columns
