"""The results of benchmarks.bundles as Markdown: a row a family, a column a task type, and what is not so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl.engine.inference.verify import EPSILON
from automl.engine.learners import LEARNERS

TASKS = ("binary", "multiclass", "regression")
Line = Mapping[str, Any]


def holds(line: Line) -> bool:
    """Whether a bundle verified and said what its model says; or was rightly not made."""
    if "error" in line:
        return False
    if not line["made"]:
        return LEARNERS[line["family"]].keeps_rows
    close = all(line[runtime] <= most for runtime, most in EPSILON.items() if runtime in line)
    service = line["service"] <= EPSILON["onnx" if "onnx" in line else "skops"]
    return close and service and line["verdict"] in ("identical", "within epsilon")


def shown(lines: Sequence[Line]) -> str:
    """Both tables."""
    families = [family for family in [*LEARNERS, "ensemble"] if any(of_(line, family) for line in lines)]
    rows = [f"| family | {' | '.join(TASKS)} | load, skops / ONNX | MB |", f"|{' --- |' * (len(TASKS) + 3)}"]
    for family in families:
        own = [line for line in lines if of_(line, family)]
        cells = [cell([line for line in own if line["task"] == task]) for task in TASKS]
        rows.append(f"| {family} | {' | '.join(cells)} | {loads(own)} | {sizes(own)} |")
    return "\n".join([*rows, "", *exceptions(lines)])


def of_(line: Line, family: str) -> bool:
    return bool(line["family"] == family)


def cell(lines: Sequence[Line]) -> str:
    """How many bundles hold, and the largest differences."""
    if not lines:
        return ""
    made = [line for line in lines if line["made"]]
    if not made and all(map(holds, lines)):
        return "not packaged"
    good = sum(map(holds, lines))
    parts = [f"{good} of {len(lines)}"]
    for runtime, name in (("skops", "skops"), ("onnx", "ONNX")):
        known = [line[runtime] for line in made if runtime in line]
        share = "" if len(known) == len(made) else f" ({len(known)} of {len(made)})"
        parts.append(f"{name} {far(max(known))}{share}" if known else f"no {name}")
    return ", ".join(parts)


def far(difference: float) -> str:
    return f"{difference:.0e}" if difference else "0"


def loads(lines: Sequence[Line]) -> str:
    """The longest that a model took to load, libraries included."""
    known = [[line[name] for line in lines if name in line] for name in ("load_skops", "load_onnx")]
    return " / ".join(f"{max(seconds):.1f} s" if seconds else "-" for seconds in known) if any(known) else "-"


def sizes(lines: Sequence[Line]) -> str:
    known = [line["bytes"] / 1e6 for line in lines if "bytes" in line]
    return f"{min(known):.1f} - {max(known):.1f}" if known else "-"


def exceptions(lines: Sequence[Line]) -> list[str]:
    """What does not hold, and graphs that are not offered."""
    rows = []
    for line in lines:
        where = f"{line['family']} on {line['table']}"
        if not holds(line):
            told = line.get("error") or line.get("verdict") or line.get("reason")
            gaps = ", ".join(f"{name} {line[name]:.1e}" for name in (*EPSILON, "service") if name in line)
            rows.append(f"- **{where}**: {told} {gaps}".rstrip())
        elif line["made"] and line["reason"]:
            rows.append(f"- {where}: no ONNX, {line['reason']}")
    return rows
