"""A card as one page of HTML: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from itertools import groupby

from automl.engine.model_card.document import (
    Block,
    Card,
    Chart,
    Code,
    Figure,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Table,
    Text,
    parts_of,
)
from automl.engine.model_card.style import STYLE

# Should a name ever become markup, a browser still loads nothing and runs nothing.
POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def to_html(card: Card) -> str:
    """Write a card as a page; every name from the data is escaped."""
    title = escape(card.title)
    policy = policy_of(STYLE)
    details = (
        f'<div class="divide"><p class="kind">For those who build on it</p></div>{_sections(card.details)}'
        if card.details
        else ""
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: model card</title><style>{STYLE}</style></head>\n"
        f'<body><main><article><header><p class="kind">Model card</p><h1>{title}</h1>'
        f"<p>{_text(card.subtitle)}</p></header>\n{_figures(card.figures)}"
        f"{_sections(card.summary)}{details}</article></main></body></html>\n"
    )


def policy_of(style: str) -> str:
    """The content security policy that lets a page have this one style, and nothing else."""
    return POLICY.format(base64.b64encode(hashlib.sha256(style.encode()).digest()).decode())


def _figures(figures: Sequence[Figure]) -> str:
    boxes = "".join(
        f'<div><dt>{escape(figure.label)}</dt><dd><span class="value">{escape(figure.value)}</span><br>'
        f'<span class="note">{escape(figure.note)}</span></dd></div>'
        for figure in figures
    )
    return f'<dl class="figures">{boxes}</dl>\n' if boxes else ""


def _sections(sections: Sequence[Section]) -> str:
    return "".join(
        f"<section><h2>{escape(section.title)}</h2>{_blocks(section.blocks)}</section>\n"
        for section in sections
    )


def _blocks(blocks: Sequence[Block]) -> str:
    """Charts that follow each other stand side by side where there is room."""
    parts = []
    for are_charts, group in groupby(blocks, lambda block: isinstance(block, Chart)):
        written = [_block(block) for block in group]
        whole = "".join(written)
        parts.append(f'<div class="charts">{whole}</div>' if are_charts and len(written) > 1 else whole)
    return "".join(parts)


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Listing):
        return f"<pre><code>{escape(block.text)}</code></pre>"
    assert isinstance(block, Chart)
    return (
        f"<figure><h3>{escape(block.title)}</h3><figcaption>{_text(block.caption)}</figcaption>{block.svg}"
        f"<details><summary>As a table</summary>{_table(block.table)}</details></figure>"
    )


def _table(table: Table) -> str:
    header = _cells(table, "th", [escape(text) for text in table.header])
    rows = "".join(f"<tr>{_cells(table, 'td', [_text(cell) for cell in row])}</tr>" for row in table.rows)
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(table: Table, tag: str, cells: Sequence[str]) -> str:
    kinds = (' class="n"' if place in table.numeric else "" for place in range(len(cells)))
    return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))


def _text(text: Text) -> str:
    written = []
    for part in parts_of(text):
        if isinstance(part, Code):
            written.append(f"<code>{escape(part.text)}</code>")
        elif isinstance(part, Strong):
            written.append(f"<strong>{escape(part.text)}</strong>")
        else:
            written.append(escape(part))
    return "".join(written)
