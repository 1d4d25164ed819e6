"""Puts the script of a trial together: dials, then read, prepare, folds, fit, score, save."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from typing import Any

import numpy as np

from automl.engine.calibration import MEAN_METRICS
from automl.engine.evaluation import Fitting
from automl.engine.glossary import guide
from automl.engine.inference.word_weights import WithWords, parted
from automl.engine.learners import Learner, get_learner
from automl.engine.learners.preprocessing import (
    numeric_columns,
    plain_numbers,
    tree_numbers,
)
from automl.engine.metrics import METRICS
from automl.engine.preparation import Prepared
from automl.engine.stacking import stacked_profile
from automl.engine.training_code import folds, main, scoring, table
from automl.engine.training_code.earlier import is_otherwise, leaves_doubt
from automl.engine.training_code.fitting import Recipe, recipe_of
from automl.engine.training_code.source import WIDTH, Call, Writer, assignment, import_lines, layout, literal

SEEDS = ("random_state", "random_seed")
THREADS = ("n_jobs", "thread_count")
SAVES = ("skops.io", "dump")


@dataclass(frozen=True, slots=True)
class Subject:
    """A trial whose script is written.

    Attributes
    ----------
    number, family, params
        Of the trial.
    weight, power : float
        In the bundle's model, see `automl.engine.inference.combine`.
    fitting : Fitting
        How it was fitted, and its score.
    experiment : mapping
        For the header: names, rows and the checksum of the table.
    """

    number: int
    family: str
    params: Mapping[str, Any]
    weight: float
    fitting: Fitting
    experiment: Mapping[str, Any]
    power: float = 0.0
    is_one_of_several: bool = False


def training_script(subject: Subject, prepared: Prepared, schema: Mapping[str, Any]) -> str | None:
    """Write what a trial did as a script on its table; None where no script can tell it.

    Parameters
    ----------
    subject : Subject
    prepared : Prepared
    schema : mapping
        That of the bundle.
    """
    learner = get_learner(subject.family)
    if is_otherwise(subject.fitting, learner, subject.params, prepared.profile):
        return None
    bases = subject.fitting.get("bases", [])
    names = [feature["name"] for feature in prepared.meta["features"]]
    if len(set(names)) < len(names):
        # A column is called as a part of another one is, and parts go by their names.
        return None
    if bases and (np.asarray(prepared.folds) < 0).any():
        # Of rows that only train nothing is predicted out of fold.
        return None
    prepared = replace(prepared, profile=stacked_profile(prepared.profile, len(bases)))
    params = learner.space(prepared.profile).validate(dict(subject.params))
    late = subject.fitting["is_late"] and None not in subject.fitting["lengths"]
    try:
        recipe = recipe_of(learner, prepared.profile, params, late=late)
    except OSError:
        # The source that it would hold was not installed.
        return None
    own = {name: value for name, value in params.items() if name != "target"}
    transformer, _ = parted(learner.preprocess(prepared.profile, own))
    if recipe is None or not (transformer is None or hasattr(transformer, "transformers")):
        return None
    return _Script(subject, prepared, schema, learner, params, recipe, late).text()


class _Script:
    """The parts of a script, each as its lines."""

    def __init__(
        self,
        subject: Subject,
        prepared: Prepared,
        schema: Mapping[str, Any],
        learner: Learner,
        params: Mapping[str, Any],
        recipe: Recipe,
        late: bool,
    ) -> None:
        self.subject, self.prepared, self.learner = subject, prepared, learner
        self.params = {name: value for name, value in params.items() if value is not None}
        self.recipe, self.late = recipe, late
        self.data = prepared.profile
        self.own = {name: value for name, value in self.params.items() if name != "target"}
        self.transformer, self.words = parted(learner.preprocess(self.data, self.own))
        self.metric = METRICS[subject.fitting["metric"]]
        self.table = table.table_of(schema)
        self.target = str(schema["target"])
        self.is_log = params.get("target") == "log"
        self.bases = [f"train_{base['number']}" for base in subject.fitting.get("bases", [])]
        self.many: list[str] = []
        self.dials: set[str] = set()
        self.writer = Writer(self._positions())

    def text(self) -> str:
        """The whole script."""
        fit = self._fit()
        settings = self._settings()
        target = table.written(self.prepared.classes) if self.prepared.classes else "number"
        functions = [
            *table.read_source(self.table),
            *table.prepare_source(self.table, target=target),
            *self._draw(),
            folds.BY_CLASS if self.data.classes else folds.BY_RANK,
            *self._split(),
            *self.recipe.functions,
            *([inspect.getsource(WithWords)] if self.words is not None else []),
            fit,
            *main.parts(self._facts(target)),
        ]
        head = "\n".join([*self._header(), "", *self._imports("\n".join(functions)), "", *settings])
        body = "\n\n\n".join(function.strip("\n") for function in functions)
        return f"{head}\n\n\n{body}\n\n\n{main.CALL}"

    def _positions(self) -> dict[tuple[int, ...], str]:
        """Names for the lists of positions that a transformer is told."""
        numeric, codes = numeric_columns(self.data), list(self.data.categorical)
        transformer = self.transformer
        parts: dict[str, list[int]] = (
            {name: list(columns) for name, _, columns in transformer.transformers} if transformer else {}
        )
        kept = tree_numbers(self.data)
        names: dict[tuple[int, ...], str] = {}
        if self.data.words:
            names |= {self.data.words: 'at["words"]', tuple(plain_numbers(self.data)): 'at["plain"]'}
        if self.data.minor:
            names |= {self.data.minor: 'at["minor"]', tuple(kept): 'at["kept"]'}
            if self.data.places:
                names[self.data.minor + self.data.places] = 'at["minor"] + at["places"]'
            names[tuple(kept + codes)] = 'at["kept"] + at["categories"]'
        names |= {tuple(codes): 'at["categories"]', tuple(numeric): 'at["numeric"]'}
        names[tuple(numeric + codes)] = 'at["numeric"] + at["categories"]'
        if "target" in parts:
            few = [position for position in codes if position not in set(parts["target"])]
            features = self.prepared.meta["features"]
            self.many = [features[position]["name"] for position in parts["target"]]
            names |= {
                tuple(kept + few): 'at["kept"] + at["few"]',
                tuple(numeric + few): 'at["numeric"] + at["few"]',
                tuple(few): 'at["few"]',
                tuple(parts["target"]): 'at["many"]',
                tuple(numeric): 'at["numeric"]',
            }
        return names

    def _header(self) -> list[str]:
        about = self.subject.experiment
        named = f"{self.learner.label} #{self.subject.number}"
        what = f"{named} as plain code: fits it again and prints its score, which is that of the leaderboard."
        source = " ".join(filter(None, [_plain(about.get("dataset")), _rows(about.get("rows"))]))
        lines = [f'"""{what}', "", "    python FILE table.csv [models.skops]", ""]
        if source:
            lines.append(f"Table: {source}.")
        if about.get("dataset_sha256"):
            lines.append(f"Its SHA-256 is {_plain(about['dataset_sha256'])}.")
        if self.table.dialect.get("format") == "xlsx":
            lines.append(f"Needs python-calamine=={version('python-calamine')} beside requirements.txt.")
        if self.subject.is_one_of_several:
            lines.append(self._share())
        drawn = "" if self.prepared.drawn is None else f"{len(self.prepared.y):,} of its rows, drawn evenly"
        lines += [
            f"Fitted on {drawn or 'all of its rows'}, fold by fold. With the same table, the versions of",
            "requirements.txt and a processor of the same make the score is the same to a millionth.",
            '"""',
        ]
        return lines

    def _share(self) -> str:
        weight, power = self.subject.weight, self.subject.power
        if not weight and not power:
            return "Members of the bundle's model learn from what it predicts; it has no weight itself."
        share = f"{weight:.1%}" + (f" (power {power:+.3f})" if power else "")
        return f"It is one of several members of the bundle's model, and weighs {share}."

    def _imports(self, body: str) -> list[str]:
        modules = {module: set(names) for module, names in self.writer.imports.items()}
        wanted = chain(
            self.recipe.imports.items(),
            [("threadpoolctl", ("threadpool_limits",)), (SAVES[0], (SAVES[1],))],
        )
        for module, names in wanted:
            modules.setdefault(module, set()).update(names)
        if judge := scoring.FORMULAS[self.metric.name][1]:
            modules.setdefault("sklearn.metrics", set()).add(judge)
        for module, names in main.MODULES.items():
            if used := {name for name in names if f"{name}(" in body}:
                modules.setdefault(module, set()).update(used)
        if self.bases:
            modules.setdefault("importlib", set()).add("import_module")
        if "sparse." in body:
            modules.setdefault("scipy", set()).add("sparse")
        typed = {"collections.abc": "Sequence", "typing": "Any"}
        for module, name in typed.items():
            if re.search(rf": {name}\b", body):
                modules.setdefault(module, set()).add(name)
        whole = [name for name in ("math", "re") if re.search(rf"\b{name}\.", body)]
        plain = [f"import {name}" for name in sorted([*whole, "sys"])]
        own = {module: modules.pop(module) for module in [*modules] if _is_standard(module)}
        aliases = ["import numpy as np", "import pandas as pd"]
        aliases += ["import pyarrow.parquet as pq"] if "pq." in body else []
        standard = import_lines({**own, "itertools": {"product"}}, plain)
        return [*standard, "", *import_lines(modules, aliases)]

    def _settings(self) -> list[str]:
        fitting, meta = self.subject.fitting, self.prepared.meta
        seed = meta.get("seed", self.subject.experiment.get("seed") or 0)
        lines = [f"TARGET = {literal(self.target)}"]
        if self.prepared.classes:
            lines += assignment("CLASSES", [literal(label) for label in self.prepared.classes])
        lines += ["# What each column holds; others are not read.", *table.columns_source(self.table)]
        if self.many:
            lines += ["# The target's mean stands for each of their levels, which are many."]
            lines += assignment("MANY_LEVELS", [literal(name) for name in self.many])
        lines += ["# Cells that say nothing."]
        lines += assignment("MISSING", [literal(mark) for mark in self.table.missing])
        lines += self._dials()
        lines += [
            f"SEED = {seed}  # of the experiment: deals the folds",
            f"TRIAL_SEED = {fitting['seed']}  # of the trial: each fold's model has the next one",
            *([f"DRAWN = {meta['drawn']}  # rows that there was time for"] if "drawn" in meta else []),
            f"FOLDS, REPEATS = {meta['folds']}, {meta['repeats']}",
            f"THREADS = {fitting['threads']}  # sums are in another order with more of them",
        ]
        if self.late:
            lines += [f"# Time ended fits of the search: the {self._unit()} that each fold's model came to."]
            lines += assignment("ROUNDS", [str(length) for length in fitting["lengths"]])
        if self.bases:
            lines += ["# The scripts of the trials that it learns from; they lie beside this one."]
            lines += assignment("BASES", [literal(name) for name in self.bases])
        if factors := fitting.get("label_factors"):
            lines += ["# By which the probabilities of classes are multiplied, for each part of the rows."]
            lines += assignment("LABEL_FACTORS", [literal(factor) for part in factors for factor in part])
        lines.append(f"LEADERBOARD = {fitting['value']!r}  # {self.metric.label}, out of fold")
        return lines

    def _unit(self) -> str:
        if self.learner.key in ("random_forest", "extra_trees", "stacked_trees"):
            return "trees"
        return "epochs" if self.learner.key in ("neural_network", "stacked_network") else "rounds"

    def _dials(self) -> list[str]:
        space = self.learner.space(self.data).dimensions
        lines, decided = [], []
        for name, value in self.params.items():
            words = guide(self.learner.key, name, space[name])
            remark = f"# {words.label}: {words.meaning[:1].lower()}{words.meaning[1:]}"
            line = f"    {literal(name)}: {literal(value)},"
            if name not in self.dials:
                decided.append(f"# {name} = {literal(value)}; {words.label}: {words.meaning}")
            elif len(line) + len(remark) + 2 <= WIDTH:
                lines.append(f"{line}  {remark}")
            else:
                lines += [f"    {remark}", line]
        told = ["# Hyperparameters that decided which steps there are below:", *decided] if decided else []
        return [*told, *(["DIALS = {", *lines, "}"] if lines else [])]

    def _draw(self) -> list[str]:
        if self.prepared.drawn is None:
            return []
        return [folds.DRAW_BY_CLASS if self.data.classes else folds.DRAW]

    def _split(self) -> list[str]:
        if not self._needs_split():
            return []
        labels = any(told for _, told in self.table.codes.values())
        split = main.split_source(many=bool(self.many), labels=labels)
        return [*split, *([main.WORDS] if self.data.words else [])]

    def _needs_split(self) -> bool:
        positions = self.data.categorical or self.data.minor
        return self.transformer is not None or bool(positions and self._takes_codes())

    def _takes_codes(self) -> bool:
        return self.learner.layout == "frame" or any("at[" in line for line in self.recipe.lines)

    def _fit(self) -> str:
        recipe, late = self.recipe, self.late
        with_rounds = late and bool(recipe.length or recipe.functions)
        validates = recipe.validates and not with_rounds
        valid = ["X_valid", "y_valid"] if validates else []
        at = ["at"] if self._needs_split() else []
        arguments = ["X", "y", *valid, *at, "seed", *(["rounds"] if with_rounds else [])]
        lines = [f"def fit({', '.join(arguments)}):", '    """The model of one fold."""']
        if self.transformer is not None:
            lines += self._preprocess(self.transformer)
            lines += ["    X = preprocess.fit_transform(X, y)"]
            lines += ["    X_valid = preprocess.transform(X_valid)"] if validates else []
        lines.append(f"    model = {layout(self._estimator(with_rounds), 1, before=len('model = '))}")
        lines += [f"    {line}" for line in (recipe.late if with_rounds else recipe.lines)]
        if self.transformer is None:
            return "\n".join([*lines, "    return model"])
        self.writer.imports.setdefault("sklearn.pipeline", set()).add("make_pipeline")
        return "\n".join([*lines, "    return make_pipeline(preprocess, model)"])

    def _preprocess(self, transformer: Any) -> list[str]:
        """Each step under its name, then all of them."""
        call = self.writer.value(transformer)
        (steps,) = (value for key, value, _ in call.arguments if key == "transformers")
        lines, told = [], []
        for _, step, _ in steps.arguments:
            (_, name, _), (_, made, _), (_, columns, _) = step.arguments
            variable = str(name).strip('"')
            if isinstance(made, Call):
                lines.append(f"    {variable} = {layout(made, 1, before=len(variable) + 3)}")
                made = variable
            told.append(("", Call("", [("", name, ""), ("", made, ""), ("", columns, "")]), ""))
        others = [argument for argument in call.arguments if argument[0] != "transformers"]
        whole = Call(call.name, [("", Call("", told, "[]"), ""), *others])
        lines.append(f"    preprocess = {layout(whole, 1, before=len('preprocess = '))}")
        if self.words is not None:
            texts = Call("", [("", literal(text), "") for text in self.words["texts"]], "[]")
            made = Call(
                "WithWords", [("", "preprocess", ""), ("", texts, ""), ("", repr(self.words["buckets"]), "")]
            )
            lines += [
                "    # Of each text: the column of its first word, how many there are, how many are known.",
                f"    preprocess = {layout(made, 1, before=len('preprocess = '))}",
            ]
        return lines

    def _estimator(self, with_rounds: bool) -> Call:
        own, recipe, fitting = self.own, self.recipe, self.subject.fitting
        found = self.learner.build(self.data, own, seed=fitting["seed"], threads=fitting["threads"])
        inner = getattr(found, "regressor", found)
        steps = [step for _, step in getattr(inner, "steps", [("", inner)])]
        there = {name: value for step in steps for name, value in step.get_params(deep=False).items()}
        rounds = {recipe.length: "rounds"} if with_rounds and recipe.length else {}
        passed = {dial: recipe.dials.get(dial, dial) for dial, value in own.items()}
        passed = {
            dial: name
            for dial, name in passed.items()
            if name not in rounds and name in there and there[name] == own[dial]
        }
        expressions = {name: f"DIALS[{literal(dial)}]" for dial, name in passed.items()}
        expressions |= recipe.expressions
        texts = [*expressions.values(), *recipe.functions]
        self.dials = {dial for dial in own if any(f"DIALS[{literal(dial)}]" in text for text in texts)}
        if self.dials == {dial for dial, name in passed.items() if dial == name}:
            # All have the name that the library gives them.
            expressions = {**dict.fromkeys(passed.values(), "**"), **recipe.expressions}
        expressions |= rounds
        skip = [name for name in recipe.stopping if with_rounds and name not in recipe.expressions]
        calls = [
            self.writer.estimator(step, expressions | self._given(step), recipe.comments, skip)
            for step in steps
        ]
        call = calls[0]
        if len(calls) > 1:
            self.writer.imports.setdefault("sklearn.pipeline", set()).add("make_pipeline")
            call = Call("make_pipeline", [("", each, "") for each in calls])
        if "**" in expressions.values():
            others = [argument for argument in call.arguments if argument[1] != "**"]
            call = Call(call.name, [("", "**DIALS", ""), *others])
        if inner is found:
            return call
        wrapped = self.writer.estimator(found, {}, {})
        return Call(
            wrapped.name,
            [(key, call if key == "regressor" else given, "") for key, given, _ in wrapped.arguments],
        )

    def _given(self, step: Any) -> dict[str, str]:
        """What an estimator is told of chance and threads, as source."""
        fitting, there = self.subject.fitting, step.get_params(deep=False)
        given = {"seed": (SEEDS, fitting["seed"]), "THREADS": (THREADS, fitting["threads"])}
        return {
            name: text for text, (names, value) in given.items() for name in names if there.get(name) == value
        }

    def _facts(self, target: str) -> main.Facts:
        judged = np.asarray(self.prepared.folds)
        whole = np.arange(self.prepared.meta["folds"])
        return main.Facts(
            metric=self.metric.label,
            formula=scoring.FORMULAS[self.metric.name][0],
            classes=bool(self.data.classes),
            labels=target if self.data.classes else "",
            splits=self._needs_split(),
            frame=self.learner.layout == "frame",
            codes=bool(self.data.categorical),
            validates=self.recipe.validates,
            late=self.late and bool(self.recipe.length or self.recipe.functions),
            is_log=self.is_log,
            offset=self.data.log_offset,
            is_held=self.subject.fitting.get("is_held", False),
            scales=self._scales(),
            tempers=self.subject.fitting["temperature"] != 1.0,
            doubts=leaves_doubt(self.subject.fitting),
            only_training=bool((judged < 0).any()),
            empty_folds=not all(np.isin(whole, row).all() for row in judged),
            told=self._told(),
            words=bool(self.data.words),
            decides="label_factors" in self.subject.fitting,
            draws=self.prepared.drawn is not None,
        )

    def _scales(self) -> str:
        if self.metric.name == "mape":
            return "shares"
        if self.metric.name == "mae":
            # Trials of before had no other.
            return "sizes" if self.subject.fitting.get("factor", 1.0) != 1.0 else ""
        return "squares" if self.is_log and self.metric.name in MEAN_METRICS else ""

    def _told(self) -> str:
        if not self.bases:
            return ""
        return {0: "number", 2: "odds"}.get(self.data.classes, "logs")


def _is_standard(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in sys.stdlib_module_names


def _plain(value: Any) -> str:
    """A name as a comment can hold it, whatever is in it."""
    text = "".join(each if each.isprintable() and each not in '"\\' else " " for each in str(value or ""))
    return " ".join(text.split())[:60]


def _rows(value: Any) -> str:
    return f"({int(value):,} rows)" if value else ""


def scripts(
    members: Sequence[Mapping[str, Any]],
    fittings: Sequence[Fitting | None],
    prepared: Prepared,
    schema: Mapping[str, Any],
    experiment: Mapping[str, Any],
) -> dict[str, str]:
    """The scripts of a bundle by file: `train.py`, or `train_NUMBER.py` for each of several members.

    A member that was fitted before this was written down, or that can't be told as a script, has none.
    """
    found: dict[str, str] = {}
    for member, fitting in zip(members, fittings, strict=True):
        if fitting is None:
            continue
        weight, power = float(member["weight"]), float(member.get("power", 0.0))
        subject = Subject(
            member["number"],
            member["family"],
            member["params"],
            weight,
            fitting,
            experiment,
            power,
            is_one_of_several=len(members) > 1,
        )
        name = "train.py" if len(members) == 1 else f"train_{member['number']}.py"
        text = training_script(subject, prepared, schema)
        if text is not None:
            found[name] = text.replace("python FILE", f"python {name}")
    return {name: text for name, text in found.items() if _needed(members, fittings, name) <= found.keys()}


def _needed(members: Sequence[Mapping[str, Any]], fittings: Sequence[Fitting | None], name: str) -> set[str]:
    """The scripts that a script calls."""
    return {
        f"train_{base['number']}.py"
        for member, fitting in zip(members, fittings, strict=True)
        if fitting is not None and name == f"train_{member['number']}.py"
        for base in fitting.get("bases", [])
    }
