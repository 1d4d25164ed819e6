"""What a model is, in words: for the person who was handed the file and not the story."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS


def model_card(
    *,
    name: str,
    schema: Mapping[str, Any],
    metrics: Mapping[str, Any],
    members: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    requirements: Sequence[str],
) -> str:
    """Write the model card as Markdown."""
    parts = [
        f"# {name}",
        _purpose(schema, provenance),
        "## How good it is",
        _scores(metrics),
        "## How to use it",
        _usage(schema),
        "## What it needs to see",
        _columns(schema),
        "## What it is made of",
        _members(members),
        "## Where it comes from",
        _provenance(provenance, requirements),
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(schema: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    classes = schema.get("classes")
    if classes:
        named = ", ".join(f"`{label}`" for label in classes[:30]) + (
            " and others" if len(classes) > 30 else ""
        )
        what = f"one of {len(classes)} classes: {named}"
    else:
        what = "a number"
    return (
        f"Predicts `{schema['target']}`, {what}. Trained on {provenance.get('rows') or 0:,} rows of "
        f"*{provenance.get('dataset')}*."
    )


def _scores(metrics: Mapping[str, Any]) -> str:
    lines = ["| metric | out of fold | 95 % interval |" + (" test table |" if "test" in metrics else "")]
    lines.append("| --- | --- | --- |" + (" --- |" if "test" in metrics else ""))
    for key, found in metrics["validation"].items():
        label = METRICS[key].label + (" (optimised)" if key == metrics["metric"] else "")
        low, high = found["low"], found["high"]
        line = f"| {label} | {found['value']:.5g} | {low:.5g} to {high:.5g} |"
        if "test" in metrics:
            test = metrics["test"].get(key)
            line += f" {test['value']:.5g} |" if test else " |"
        lines.append(line)
    lines.append("")
    lines.append(
        "Out of fold: every row was predicted by models that had not seen it. Intervals say how much another "
        "sample of rows from the same source could differ; they say nothing about a source that has changed."
    )
    return "\n".join(lines)


def _usage(schema: Mapping[str, Any]) -> str:
    output = "a column `prediction`"
    if schema.get("classes"):
        output += " and a column `probability_CLASS` for each class"
    return (
        "```sh\npip install -r requirements.txt\npython predict.py input.csv output.csv\n```\n\n"
        f"The output has {output}, in the order of the input's rows. From Python:\n\n"
        "```python\nfrom predict import load\n\nmodel = load()\nmodel.predict(frame)\n```"
    )


def _columns(schema: Mapping[str, Any]) -> str:
    lines = ["| column | kind | seen in training |", "| --- | --- | --- |"]
    for column in schema["columns"]:
        seen = ""
        if "categories" in column:
            seen = f"{len(column['categories'])} levels"
        elif column["kind"] == "datetime":
            seen = f"format `{column.get('format') or 'ISO 8601'}`"
        lines.append(f"| {column['name']} | {column['kind']} | {seen} |")
    lines.append(
        "\nColumns that are missing are an error; others are ignored. Unknown levels count as missing."
    )
    return "\n".join(lines)


def _members(members: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for member in members:
        label = get_learner(member["family"]).label
        dials = json.dumps(member["params"], ensure_ascii=False)
        lines.append(f"- {member['weight']:.0%} {label}, the mean of the models of all folds: `{dials}`")
    return "\n".join(lines)


def _provenance(provenance: Mapping[str, Any], requirements: Sequence[str]) -> str:
    known = {
        "Experiment": provenance.get("name"),
        "Dataset checksum": provenance.get("dataset_sha256"),
        "Time budget": f"{provenance.get('time_budget')} s",
        "Seed": provenance.get("seed"),
        "Packaged": provenance.get("packaged_at"),
        "Bakeoff": provenance.get("bakeoff"),
        "Python": provenance.get("python"),
        "Packages": ", ".join(requirements),
    }
    lines = [f"- {label}: {value}" for label, value in known.items()]
    warnings = provenance.get("warnings") or []
    return "\n".join([*lines, *(f"- Note: {warning}" for warning in warnings)])
