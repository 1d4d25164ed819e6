"""Small drawings as SVG text: colours and type are the page's, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from automl.engine.model_card.words import shortened

SQUARE = 320


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg>"
    )


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """A horizontal bar for each (label, value, text), as wide as there is room; none for values below 0."""
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    body = []
    for label, value, text in rows:
        length = max(100 * value / most, 0.4)
        body.append(
            f'<span class="label" title="{escape(label)}">{escape(label)}</span>'
            '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="track" width="100" height="10"/>'
            f'<rect class="bar" width="{length:.2f}" height="10"/></svg>'
            f'<span class="value">{escape(text)}</span>'
        )
    return f'<div class="bars" role="img" aria-label="{escape(title)}">{"".join(body)}</div>'


def against(
    title: str,
    points: Sequence[tuple[float, float, float, float]],
    *,
    axes: tuple[str, str],
    ticks: Sequence[tuple[float, str]],
) -> str:
    """Points (x, y, low, high) beside the diagonal on which what was said is what happened.

    Parameters
    ----------
    ticks : sequence of (float, str)
        Of both axes, rising; the first and the last are their ends.
    """
    left, bottom, size = 58.0, 40.0, float(SQUARE)
    low, high = ticks[0][0], ticks[-1][0]
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + min(max((value - low) / span, 0.0), 1.0) * size

    def y(value: float) -> float:
        return 10 + size - min(max((value - low) / span, 0.0), 1.0) * size

    body = []
    for value, text in ticks:
        across, down, told = x(value), y(value), escape(text)
        body.append(
            f'<line class="grid" x1="{left:g}" x2="{left + size:g}" y1="{down:.1f}" y2="{down:.1f}"/>'
            f'<text class="tick" x="{left - 8:g}" y="{down + 4:.1f}" text-anchor="end">{told}</text>'
            f'<text class="tick" x="{across:.1f}" y="{size + 28:g}" text-anchor="middle">{told}</text>'
        )
    body.append(
        f'<line class="ideal" x1="{left:g}" y1="{10 + size:g}" x2="{left + size:g}" y2="10"/>'
        f'<text class="axis" x="{left + size / 2:g}" y="{size + bottom + 8:g}" text-anchor="middle">'
        f"{escape(axes[0])}</text>"
        f'<text class="axis" x="14" y="{10 + size / 2:g}" text-anchor="middle" '
        f'transform="rotate(-90 14 {10 + size / 2:g})">{escape(axes[1])}</text>'
    )
    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b, _, _ in points)
    body.append(f'<polyline class="line" points="{line}"/>')
    for a, b, least, most in points:
        body.append(
            f'<line class="whisker" x1="{x(a):.1f}" x2="{x(a):.1f}" y1="{y(least):.1f}" y2="{y(most):.1f}"/>'
            f'<circle class="dot" cx="{x(a):.1f}" cy="{y(b):.1f}" r="4"/>'
        )
    return _svg(left + size + 24, size + bottom + 16, title, body)


def matrix(title: str, labels: Sequence[Any], counts: Sequence[Sequence[int]]) -> str:
    """How often what is in a row was called what is in a column; each row by its own share."""
    count = len(labels)
    cell = max(34.0, min(84.0, 420.0 / max(count, 1)))
    left, top = 118.0, 46.0
    body = [
        f'<text class="axis" x="{left + count * cell / 2:g}" y="14" text-anchor="middle">predicted</text>',
        f'<text class="axis" x="14" y="{top + count * cell / 2:g}" text-anchor="middle" '
        f'transform="rotate(-90 14 {top + count * cell / 2:g})">actual</text>',
    ]
    for place, label in enumerate(labels):
        middle = (place + 0.5) * cell
        whole, text = escape(str(label)), escape(shortened(str(label), max(3, int(cell / 8))))
        body.append(
            f'<text class="tick" x="{left + middle:.1f}" y="{top - 10:g}" text-anchor="middle">'
            f"{text}<title>{whole}</title></text>"
            f'<text class="tick" x="{left - 10:g}" y="{top + middle + 4:.1f}" text-anchor="end">'
            f"{escape(shortened(str(label), 11))}<title>{whole}</title></text>"
        )
    for i, row in enumerate(counts):
        total = sum(row) or 1
        for j, found in enumerate(row):
            share = found / total
            kind = "right" if i == j else "wrong"
            body.append(
                f'<rect class="{kind}" x="{left + j * cell + 1:.1f}" y="{top + i * cell + 1:.1f}" rx="4" '
                f'width="{cell - 2:.1f}" height="{cell - 2:.1f}" fill-opacity="{0.08 + 0.92 * share:.2f}"/>'
                f'<text class="cell{" on" if share > 0.55 else ""}" x="{left + (j + 0.5) * cell:.1f}" '
                f'y="{top + (i + 0.5) * cell + 4:.1f}" text-anchor="middle">{share:.0%}</text>'
            )
    return _svg(left + count * cell + 6, top + count * cell + 6, title, body)
