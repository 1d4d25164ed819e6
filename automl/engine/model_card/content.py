"""What the card of a model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automl.engine.inference.encoder import is_code
from automl.engine.inference.verify import pinned
from automl.engine.learners import LEARNERS
from automl.engine.metrics import METRICS
from automl.engine.model_card import certainty, figures
from automl.engine.model_card.document import (
    Block,
    Card,
    Code,
    Figure,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Table,
    Text,
)
from automl.engine.model_card.evidence import Evidence
from automl.engine.model_card.licences import licence_of
from automl.engine.model_card.words import how_good, limits, number, shortened
from automl.engine.stacking import name_of

MOST_COLUMNS, MOST_LEVELS, MOST_ROWS, MOST_CLASSES = 200, 6, 10, 12


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a model that is packaged.

    Attributes
    ----------
    name : str
    schema, metrics : mapping
        As the bundle's files hold them.
    members : sequence of mapping
        `number` (of the trial), `family`, `weight`, `power`, `params`.
    provenance : mapping
        The experiment, and what packaged it.
    requirements : sequence of str
        Pins.
    leaderboard : sequence of mapping
    folds : tuple of int
        How many, and how often dealt.
    evidence : Evidence
    scripts : sequence of str
        Files that fit its members again.
    """

    name: str
    schema: Mapping[str, Any]
    metrics: Mapping[str, Any]
    members: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    requirements: Sequence[str]
    leaderboard: Sequence[Mapping[str, Any]]
    folds: tuple[int, int]
    evidence: Evidence
    scripts: Sequence[str] = ()

    @property
    def found(self) -> Mapping[str, float]:
        """The value and interval of the metric by which it was chosen."""
        value: Mapping[str, float] = self.metrics["validation"][self.metrics["metric"]]
        return value

    @property
    def classes(self) -> list[Any]:
        return list(self.schema.get("classes") or [])

    @property
    def uncertainty(self) -> Mapping[str, Any]:
        """What was found of its intervals or sets."""
        found: Mapping[str, Any] = self.metrics["uncertainty"]
        return found


def model_card(about: About) -> Card:
    """Say what a model is: a summary for those who decide, then details for those who build."""
    metric, found = about.metrics["metric"], about.found
    uncertainty, rows = about.uncertainty, about.evidence.rows
    return Card(
        title=about.name,
        subtitle=_purpose(about),
        figures=_figures(about),
        summary=[
            Section("How good it is", [Items(how_good(metric, found, about.evidence, about.schema))]),
            Section("How sure a prediction is", certainty.how_sure(uncertainty, about.classes, rows)),
            Section("What it goes by", figures.importance(about.evidence, METRICS[metric])),
            Section(
                "What it must not be used for",
                [Items(limits(metric, found, about.evidence))],
            ),
        ],
        details=[
            Section("Scores", _scores(about)),
            Section("Where it is right and wrong", figures.rightness(about.evidence)),
            Section(
                "Intervals" if uncertainty["kind"] == "intervals" else "Sets of classes",
                certainty.levels_of(uncertainty, rows),
            ),
            Section("How to use it", _usage(about)),
            Section("What it needs to see", _columns(about)),
            Section("How it was found", _search(about)),
            Section("What it is made of", _members(about)),
            Section("Versions and licences", _packages(about)),
        ],
    )


def _purpose(about: About) -> Text:
    classes = about.classes
    rows, learned = about.provenance.get("rows"), about.provenance.get("rows_learned")
    source = about.provenance.get("dataset")
    parts: list[str | Code | Strong] = ["Predicts ", Code(str(about.schema["target"])), ", "]
    if classes:
        parts.append(f"one of {len(classes)} classes: ")
        for place, label in enumerate(classes[:MOST_CLASSES]):
            parts += [", " if place else "", Code(shortened(str(label)))]
        parts.append(" and others" if len(classes) > MOST_CLASSES else "")
    else:
        parts.append("a number")
    parts.append(f", from {len(about.schema['columns'])} columns. ")
    some = f"{learned:,} of the " if rows and learned else ""
    parts.append(f"Learned from {some}{rows:,} rows" if rows else "Learned from a table")
    parts += [" of ", Code(shortened(str(source))), "."] if source else ["."]
    return tuple(part for part in parts if part)


def _figures(about: About) -> list[Figure]:
    metric, found, evidence = METRICS[about.metrics["metric"]], about.found, about.evidence
    shown = [
        Figure(metric.label, number(found["value"]), f"{number(found['low'])} to {number(found['high'])}")
    ]
    if evidence.constant is not None:
        shown.append(Figure("Guessing", number(evidence.constant), "the same answer for every row"))
    if tested := about.metrics.get("test", {}).get(metric.name):
        shown.append(Figure("On the test table", number(tested["value"]), "rows that no search saw"))
    shown.append(Figure("Rows judged", f"{evidence.rows:,}", "none of them seen in training"))
    return shown


def _scores(about: About) -> list[Block]:
    tested = about.metrics.get("test")
    header = ["Metric", "Out of fold", "95 % interval", *(["Test table", "95 % interval"] if tested else [])]
    rows: list[list[Text]] = []
    for key, found in about.metrics["validation"].items():
        label = METRICS[key].label
        first: Text = Strong(f"{label} (optimised)") if key == about.metrics["metric"] else label
        rows.append([first, *_measured(found), *(_measured(tested.get(key)) if tested else [])])
    folds, repeats = about.folds
    dealt = f"{folds} folds" + (f", dealt {repeats} times" if repeats > 1 else "")
    note = (
        f"Out of fold ({dealt}): every row was predicted by models that had not seen it. Intervals say how "
        "much another sample of rows from the same source could differ; they say nothing about a source that "
        "has changed."
    )
    blocks: list[Block] = [Table(header, rows, frozenset({1, 3} if tested else {1})), Paragraph(note)]
    if test_note := about.metrics.get("test_note"):
        blocks.append(Paragraph(f"The test table: {test_note}"))
    return blocks


def _measured(found: Mapping[str, float] | None) -> list[Text]:
    return (
        [number(found["value"]), f"{number(found['low'])} to {number(found['high'])}"] if found else ["", ""]
    )


def _usage(about: About) -> list[Block]:
    output: list[str | Code | Strong] = ["The output has a column ", Code("prediction")]
    if about.classes:
        output += [" and a column ", Code("probability_CLASS"), " for each class"]
    if about.schema.get("label_factors"):
        output += [" (the largest need not be the ", Code("prediction"), "'s)"]
    output += [
        ", in the order of the input's rows. Run with ",
        Code("--verify"),
        " it checks that the bundle predicts here what it predicted where it was made. From Python, in the "
        "same folder:",
    ]
    blocks: list[Block] = [
        Listing(
            "python -m venv env && . env/bin/activate\n"
            "pip install -r requirements.txt\n"
            "python predict.py --verify\n"
            "python predict.py input.csv output.csv"
        ),
        Paragraph(tuple(output)),
        Listing("from predict import load\n\nmodel = load()\nmodel.predict(frame)", "python"),
    ]
    if about.scripts:
        scripts = ", ".join(about.scripts)
        blocks.append(
            Paragraph(("How it was trained, as plain code that comes to its score: ", Code(scripts), "."))
        )
    return blocks


def _columns(about: About) -> list[Block]:
    columns = about.schema["columns"]
    rows: list[list[Text]] = [
        [Code(shortened(str(column["name"]))), column["kind"], _seen(column)]
        for column in columns[:MOST_COLUMNS]
    ]
    more = len(columns) - len(rows)
    told = any(is_code(column) for column in columns)
    note = (
        "A column that is missing is an error; others are ignored. Levels that training did not know count "
        "as missing" + (", but for the letters and the numbers in them." if told else ".")
    )
    if more > 0:
        note = f"{more:,} more columns are in schema.json. {note}"
    return [Table(["Column", "Kind", "In training"], rows), Paragraph(note)]


def _seen(column: Mapping[str, Any]) -> Text:
    if "categories" in column:
        levels = column["categories"]
        parts: list[str | Code | Strong] = [f"{len(levels):,} level{'s' if len(levels) != 1 else ''}: "]
        for place, level in enumerate(levels[:MOST_LEVELS]):
            parts += [", " if place else "", Code(shortened(str(level), 24))]
        parts.append(" ..." if len(levels) > MOST_LEVELS else "")
        return tuple(part for part in parts if part)
    if column["kind"] == "datetime":
        return ("written as ", Code(column.get("format") or "ISO 8601"))
    return {"text": "words", "numeric": "numbers"}.get(column["kind"], "")


def _search(about: About) -> list[Block]:
    origin = about.provenance
    families = sorted(
        {LEARNERS[row["family"]].label for row in about.leaderboard if row.get("family") in LEARNERS}
    )
    finished = sum(row.get("family") in LEARNERS for row in about.leaderboard)
    tried = f"{finished:,} configurations" + (f" of {', '.join(families)}" if families else "")
    known: list[tuple[str, Any]] = [
        ("Experiment", origin.get("name")),
        ("Dataset", origin.get("dataset")),
        ("Checksum of the dataset (SHA-256)", origin.get("dataset_sha256")),
        ("Fitted on all folds", tried if finished else None),
        ("Time budget", f"{origin['time_budget']:g} s" if origin.get("time_budget") else None),
        ("Seed", origin.get("seed")),
        ("Packaged", origin.get("packaged_at")),
    ]
    items: list[Text] = [
        (Strong(f"{label}:"), f" {value}") for label, value in known if value not in (None, "")
    ]
    items += [(Strong("Note:"), f" {warning}") for warning in origin.get("warnings") or []]
    blocks: list[Block] = [Items(items)]
    label = METRICS[about.metrics["metric"]].label
    board: list[list[Text]] = [
        [
            str(row["rank"]),
            str(row["name"]),
            number(row["score"]),
            f"{number(row['score_low'])} to {number(row['score_high'])}",
        ]
        for row in about.leaderboard[:MOST_ROWS]
    ]
    if board:
        blocks.append(Table(["Rank", "Model", label, "95 % interval"], board, frozenset({0, 2})))
    return blocks


def _members(about: About) -> list[Block]:
    folds, repeats = about.folds
    models = f"Each is the mean of the models of all folds ({folds * repeats})."
    rows: list[list[Text]] = []
    for member in about.members:
        dials: list[str | Code | Strong] = []
        for name, value in member["params"].items():
            if value is not None:
                dials += [
                    ", " if dials else "",
                    f"{name} ",
                    Code(number(value) if isinstance(value, float) else str(value)),
                ]
        label = name_of(member)
        own = tuple(part for part in dials if part) or "its defaults"
        weight = f"{member['weight']:.1%}" if member["weight"] or member.get("power") else "none"
        rows.append([label, weight, *_power(about, member), own])
    figures = ["Weight", "Power"] if _has_powers(about) else ["Weight"]
    table = Table(["Member", *figures, "Hyperparameters"], rows, frozenset(range(1, 1 + len(figures))))
    told = [Paragraph(text) for text in (models, *_based(about), *_corrected(about))]
    return [table, *told]


def _based(about: About) -> list[str]:
    """What stacked members get beside the columns."""
    by_bases: dict[str, list[str]] = {}
    for member in about.members:
        if member.get("based_on"):
            by_bases.setdefault(", ".join(member["based_on"]), []).append(name_of(member))
    return [
        f"Based on the columns and on what {bases} predict, fold by fold: {', '.join(names)}. What has no "
        "weight is there for that alone."
        for bases, names in by_bases.items()
    ]


def _has_powers(about: About) -> bool:
    return any(member.get("power") for member in about.members)


def _power(about: About, member: Mapping[str, Any]) -> list[Text]:
    return [f"{member.get('power') or 0.0:+.3f}"] if _has_powers(about) else []


def _corrected(about: About) -> list[str]:
    """What weights below zero, and powers, stand for."""
    if _has_powers(about):
        return [
            "Weights are those of the mean of the members' probabilities, which is multiplied by each "
            "member's own to its power. Above zero they count for more than in the mean; below zero what the "
            "others share with that member is taken back."
        ]
    if any(member["weight"] < 0 for member in about.members):
        return ["A weight below zero takes back what the others share with that member."]
    return []


def _packages(about: About) -> list[Block]:
    rows: list[list[Text]] = []
    # Those of the system that trained.
    for name, version in filter(None, map(pinned, about.requirements)):
        rows.append([Code(name), version, licence_of(name)])
    made = f"Made by Bakeoff {about.provenance.get('bakeoff')} with Python {about.provenance.get('python')}."
    return [Table(["Package", "Version", "Licence"], rows), Paragraph(made)]
