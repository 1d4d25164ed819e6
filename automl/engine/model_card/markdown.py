"""A card as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from automl.engine.model_card.document import (
    Block,
    Card,
    Chart,
    Code,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Table,
    Text,
    parts_of,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def to_markdown(card: Card) -> str:
    """Write a card as Markdown; names from the data can't become markup."""
    parts = [f"# {_escaped(card.title)}", _text(card.subtitle)]
    if card.figures:
        rows = [(figure.label, Strong(figure.value), figure.note) for figure in card.figures]
        parts.append(_table(Table(("", "", ""), rows)))
    for section in card.summary:
        parts += _section(section)
    if card.details:
        parts.append("---")
        for section in card.details:
            parts += _section(section)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> list[str]:
    return [f"## {_escaped(section.title)}", *(_block(block) for block in section.blocks)]


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return _text(block.text)
    if isinstance(block, Items):
        return "\n".join(f"- {_text(item)}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Listing):
        return f"```{block.language}\n{block.text}\n```"
    assert isinstance(block, Chart)
    return f"### {_escaped(block.title)}\n\n{_text(block.caption)}\n\n{_table(block.table)}"


def _table(table: Table) -> str:
    rule = " | ".join("---:" if place in table.numeric else "---" for place in range(len(table.header)))
    lines = [_row(table.header), f"| {rule} |", *(_row(row) for row in table.rows)]
    return "\n".join(lines)


def _row(cells: Sequence[Text]) -> str:
    # A bar would end the cell, also inside of code.
    return f"| {' | '.join(_text(cell, in_table=True) for cell in cells)} |"


def _text(text: Text, *, in_table: bool = False) -> str:
    written = []
    for part in parts_of(text):
        if isinstance(part, Code):
            code = _code(part.text)
            written.append(code.replace("|", "\\|") if in_table else code)
        elif isinstance(part, Strong):
            written.append(f"**{_escaped(part.text)}**")
        else:
            written.append(_escaped(part))
    return "".join(written)


def _code(text: str) -> str:
    """A code span, between more backticks than are in it."""
    plain = " ".join(text.split()) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(text.split(" "))).replace("\n", " ")
