"""Conformance suites: what every learner, sampler and pruner has to do.

A new implementation subclasses the suite in a test and names itself; pytest runs the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from automl.engine.learners.base import Fit, Learner
from automl.engine.pruners import Pruner
from automl.engine.samplers import Sampler, signature
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Origin, Params, TaskType, TrialRecord, TrialState


@dataclass(frozen=True)
class Table:
    """A small encoded table, cut into the two parts of a fold."""

    data: DataProfile
    X: np.ndarray
    y: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray


def make_table(task_type: TaskType, *, rows: int = 240, classes: int = 3, rare: bool = False) -> Table:
    """Make a table with numbers, missing cells, a small and a large category.

    Parameters
    ----------
    task_type : TaskType
    rows : int
        Of the training part; the validation part has a third as many.
    classes : int
        For multiclass.
    rare : bool
        Give the last class two rows only, both in the training part.
    """
    rng = np.random.default_rng(7)
    total = rows + rows // 3
    numbers = rng.normal(size=(total, 4))
    levels = (4, 120)
    codes = np.column_stack([rng.integers(0, count, total) for count in levels]).astype(float)
    signal = numbers[:, 0] + 0.5 * numbers[:, 1] * (codes[:, 0] > 1) + 0.3 * (codes[:, 1] % 3)
    signal += 0.3 * rng.normal(size=total)
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    codes[rng.random(codes.shape) < 0.05] = np.nan
    # A code that only the validation part has, as a level that is new at prediction time.
    codes[-1, 1] = levels[1] - 1
    codes[:rows, 1][codes[:rows, 1] == levels[1] - 1] = 0
    X = np.column_stack([numbers[:, :2], codes, numbers[:, 2:]]).astype(np.float32)
    count = 0
    y = 100.0 + 50.0 * signal
    if task_type is not TaskType.REGRESSION:
        count = 2 if task_type is TaskType.BINARY else classes
        edges = np.quantile(signal[:rows], np.linspace(0, 1, count + 1)[1:-1])
        y = np.digitize(signal, edges).astype(np.int32)
        if rare:
            # The levels that it leaves go to its neighbour, so that classes stay in order along the signal.
            y[y == count - 1] = count - 2
            y[np.argsort(signal[:rows])[-2:]] = count - 1
    metric = {TaskType.BINARY: "roc_auc", TaskType.MULTICLASS: "log_loss", TaskType.REGRESSION: "rmse"}
    data = DataProfile(
        rows=total,
        numeric=4,
        task_type=task_type,
        classes=count,
        cardinalities=levels,
        categorical=(2, 3),
        missing_share=0.1,
        metric=metric[task_type],
    )
    return Table(data, X[:rows], y[:rows], X[rows:], y[rows:])


def as_frame(X: np.ndarray, data: DataProfile) -> Any:
    """Give the encoded matrix in the layout "frame", see Learner."""
    import pandas as pd

    codes = set(data.categorical)
    return pd.DataFrame(
        {
            f"f{i}": np.nan_to_num(X[:, i], nan=-1).astype(np.int32) if i in codes else X[:, i]
            for i in range(X.shape[1])
        }
    )


@dataclass(frozen=True)
class Fitted:
    """A fold that has been fitted; X and X_valid are as the estimator saw them."""

    transformer: Any
    fit: Fit
    X: Any
    X_valid: Any
    raw_valid: Any

    def predict(self, data: DataProfile) -> np.ndarray:
        """Predict the validation part: probabilities, or numbers."""
        return outputs(self.fit.estimator, self.X_valid, data)


def outputs(estimator: Any, X: Any, data: DataProfile) -> np.ndarray:
    """Predict probabilities, or numbers."""
    found = estimator.predict_proba(X) if data.classes else estimator.predict(X)
    return np.asarray(found)


def fit_fold(
    learner: Learner, table: Table, params: Params, *, seed: int = 0, deadline: float | None = None
) -> Fitted:
    """Do what an evaluation does with one fold."""
    data = table.data
    X, X_valid = table.X, table.X_valid
    if learner.layout == "frame":
        X, X_valid = as_frame(X, data), as_frame(X_valid, data)
    raw_valid = X_valid
    transformer = learner.preprocess(data, params)
    if transformer is not None:
        X = transformer.fit_transform(X, table.y)
        X_valid = transformer.transform(X_valid)
    estimator = learner.build(data, params, seed=seed, threads=1)
    fit = learner.fit(estimator, X, table.y, X_valid, table.y_valid, data=data, deadline=deadline)
    learner.describe(fit, X, table.y, data=data)
    return Fitted(transformer, fit, X, X_valid, raw_valid)


def brier(values: np.ndarray, table: Table) -> float:
    """Measure how wrong predictions are; lower is better, for every task type."""
    if not table.data.classes:
        return float(np.mean((values - table.y_valid) ** 2))
    return float(np.mean(np.sum((values - np.eye(table.data.classes)[table.y_valid]) ** 2, axis=1)))


class LearnerSuite:
    """What every learner has to do; subclasses set `learner`."""

    learner: Learner

    def tables(self) -> list[Table]:
        """Give one table for each task type of the learner, and one with many and rare classes."""
        tables = [make_table(task) for task in TaskType if task in self.learner.task_types]
        if TaskType.MULTICLASS in self.learner.task_types:
            tables.append(make_table(TaskType.MULTICLASS, rows=400, classes=5, rare=True))
        return tables

    def profiles(self) -> list[DataProfile]:
        """Give tables of many shapes, which are never fitted."""
        shapes = (
            (20, 1, ()),
            (208, 60, ()),
            (50_000, 6, (41, 2, 16)),
            (1_000_000, 30, (100_000,)),
            (800, 0, (3,)),
        )
        tasks = ((TaskType.BINARY, 2), (TaskType.MULTICLASS, 26), (TaskType.REGRESSION, 0))
        found = [
            DataProfile(rows, numeric, task, classes, cards, tuple(range(numeric, numeric + len(cards))))
            for rows, numeric, cards in shapes
            for task, classes in tasks
            if task in self.learner.task_types
        ]
        # A text of 3,000 words: its components, two figures, and up to 60 words one by one.
        words, texts = tuple(range(180)), ((182, 60, 3_000),)
        return found + [
            DataProfile(15_000, 182, task, classes, words=words, minor=words[16:], texts=texts, filled=0.5)
            for task, classes in tasks
            if task in self.learner.task_types
        ]

    def test_it_describes_itself(self) -> None:
        learner = self.learner
        assert learner.key.isidentifier()
        assert learner.label
        assert learner.description.endswith(".")
        assert learner.task_types
        for data in self.profiles():
            for row in learner.space(data).to_json():
                assert row["effect"].endswith("."), f"{row['name']} does not say what it does"

    def test_its_own_configurations_are_in_its_space(self) -> None:
        for data in self.profiles():
            space = self.learner.space(data)
            assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
            for params in (self.learner.first(data), *self.learner.portfolio(data)):
                assert space.validate(params) == dict(params)

    def test_its_cost_is_positive_and_grows_with_the_rows(self) -> None:
        for data in self.profiles():
            for params in (self.learner.first(data), *self.learner.portfolio(data)):
                cost = self.learner.cost(data, params)
                assert 0 < cost.seconds < 1e7
                assert cost.bytes > 0
            more = replace(data, rows=10 * data.rows)
            params = self.learner.first(data)
            assert self.learner.cost(more, params).seconds > self.learner.cost(data, params).seconds

    def test_it_learns_more_than_the_baseline(self) -> None:
        for table in self.tables():
            data = table.data
            fitted = fit_fold(self.learner, table, self.learner.first(data))
            values = fitted.predict(data)
            assert np.isfinite(values).all()
            if data.classes:
                assert values.shape == (len(table.y_valid), data.classes)
                assert np.allclose(values.sum(axis=1), 1.0, atol=1e-4)
            constant = (
                np.bincount(table.y, minlength=data.classes) / len(table.y)
                if data.classes
                else np.mean(table.y)
            )
            baseline = brier(np.broadcast_to(constant, values.shape), table)
            assert brier(values, table) <= baseline * (1.0 if self.learner.key == "dummy" else 0.95)

    def test_the_same_seed_gives_the_same_model(self) -> None:
        for table in self.tables()[:1]:
            params = self.learner.space(table.data).sample(np.random.default_rng(3))
            first = fit_fold(self.learner, table, params, seed=5).predict(table.data)
            again = fit_fold(self.learner, table, params, seed=5).predict(table.data)
            assert np.array_equal(first, again)

    def test_every_default_fits(self) -> None:
        table = self.tables()[-1]
        for params in self.learner.portfolio(table.data):
            values = fit_fold(self.learner, table, params).predict(table.data)
            assert np.isfinite(values).all()

    def test_a_stored_model_predicts_the_same_without_us(self) -> None:
        import skops.io

        from automl.engine.inference.safe import check_types

        for table in self.tables():
            fitted = fit_fold(self.learner, table, self.learner.first(table.data))
            for thing in (fitted.transformer, fitted.fit.estimator):
                stored = skops.io.dumps(thing)
                # One that keeps rows is never packaged, and so is on no list.
                allowed = set() if self.learner.keeps_rows else {name for _, name in check_types(stored)}
                types = sorted(allowed) or skops.io.get_untrusted_types(data=stored)
                loaded = skops.io.loads(stored, trusted=types)
                if thing is fitted.transformer and thing is not None:
                    assert np.array_equal(loaded.transform(fitted.raw_valid), fitted.X_valid, equal_nan=True)
                elif thing is not None:
                    values = outputs(loaded, fitted.X_valid, table.data)
                    assert np.array_equal(values, fitted.predict(table.data))

    def test_a_thinned_model_predicts_the_same(self) -> None:
        for table in self.tables():
            fitted = fit_fold(self.learner, table, self.learner.first(table.data))
            before = fitted.predict(table.data)
            self.learner.thin(fitted.fit.estimator, models=1)
            assert np.array_equal(fitted.predict(table.data), before)

    def test_it_says_what_it_learned_as_json(self) -> None:
        for table in self.tables():
            fit = fit_fold(self.learner, table, self.learner.first(table.data)).fit
            json.dumps(fit.learned, allow_nan=False)
            curve = fit.learning_curve
            if curve is None:
                continue
            assert json.loads(json.dumps(curve, allow_nan=False)) == curve
            assert len(curve["x"]) == len(curve["valid"]) <= 103
            assert curve["best"] in curve["x"]
            assert curve["train"] == [] or len(curve["train"]) == len(curve["x"])

    def test_a_deadline_that_has_passed_still_leaves_a_model(self) -> None:
        table = self.tables()[0]
        params = self.learner.portfolio(table.data)[0]
        fitted = fit_fold(self.learner, table, params, deadline=0.0)
        assert np.isfinite(fitted.predict(table.data)).all()


SPACES: dict[str, Space] = {
    "empty": Space({}),
    "plain": Space({"rate": Float(1e-4, 1.0, 0.1, log=True), "size": Int(1, 100, 10)}),
    "nested": Space(
        {
            "kind": Choice(("a", "b", None), "a"),
            "power": Int(1, 3, 2, condition={"name": "kind", "values": ["b"]}),
        }
    ),
}


def make_history(spaces: dict[str, Space], count: int, *, seed: int = 0) -> list[TrialRecord]:
    """Make a history of complete, pruned, failed and running trials on a smooth made-up score."""
    rng = np.random.default_rng(seed)
    families = [family for family, space in spaces.items() if space.dimensions]
    records = []
    for number in range(count):
        family = families[number % len(families)]
        params = spaces[family].sample(rng)
        position = [spaces[family].dimensions[name].position(value) for name, value in params.items()]
        score = -float(np.mean((np.array(position) - 0.7) ** 2))
        state = {5: TrialState.FAILED, 6: TrialState.PRUNED}.get(number % 10, TrialState.COMPLETE)
        if number == count - 1:
            state = TrialState.RUNNING
        done = state is TrialState.COMPLETE
        folds = (score,) * {TrialState.COMPLETE: 5, TrialState.PRUNED: 1}.get(state, 0)
        records.append(
            TrialRecord(number, family, params, Origin.SEARCH, state, score if done else None, folds, 0.5)
        )
    return records


class SamplerSuite:
    """What every sampler has to do; subclasses set `sampler`."""

    sampler: Sampler

    def histories(self) -> Sequence[list[TrialRecord]]:
        return [[], make_history(SPACES, 3), make_history(SPACES, 40)]

    def test_proposals_are_valid_and_new(self) -> None:
        for history in self.histories():
            seen = {signature(record.family, record.params) for record in history}
            proposals = self.sampler.propose(SPACES, history, count=6, seed=1)
            assert 0 < len(proposals) <= 6
            for proposal in proposals:
                assert SPACES[proposal.family].validate(proposal.params) == dict(proposal.params)
                mark = signature(proposal.family, proposal.params)
                assert mark not in seen
                seen.add(mark)

    def test_the_same_seed_proposes_the_same(self) -> None:
        for history in self.histories():
            first = self.sampler.propose(SPACES, history, count=4, seed=9)
            assert first == self.sampler.propose(SPACES, history, count=4, seed=9)

    def test_a_space_that_is_used_up_ends_the_proposals(self) -> None:
        spaces = {"only": Space({"on": Choice((True, False), True)})}
        history: list[TrialRecord] = []
        for seed in range(5):
            for proposal in self.sampler.propose(spaces, history, count=2, seed=seed):
                number = len(history)
                history.append(
                    TrialRecord(
                        number, "only", proposal.params, state=TrialState.COMPLETE, score=0.5, seconds=1.0
                    )
                )
        assert sorted(bool(record.params["on"]) for record in history) == [False, True]

    def test_every_family_is_tried(self) -> None:
        history: list[TrialRecord] = []
        for number in range(30):
            proposals = self.sampler.propose(SPACES, history, count=1, seed=number)
            if not proposals:
                break
            (proposal,) = proposals
            score = 0.9 if proposal.family == "plain" else 0.1
            history.append(
                TrialRecord(
                    number,
                    proposal.family,
                    proposal.params,
                    state=TrialState.COMPLETE,
                    score=score,
                    seconds=1,
                )
            )
        assert {record.family for record in history} == set(SPACES)


class PrunerSuite:
    """What every pruner has to do; subclasses set `pruner`."""

    pruner: Pruner

    def field(self) -> list[TrialRecord]:
        """Give ten complete trials with scores about 0.8."""
        return [
            TrialRecord(n, "plain", {"size": n + 1}, Origin.SEARCH, TrialState.COMPLETE, 0.8 + n / 1000,
                        tuple(0.8 + n / 1000 + fold / 100 for fold in (-2, -1, 0, 1, 2)), 1.0)
            for n in range(10)
        ]  # fmt: skip

    def running(self, *scores: float, origin: Origin = Origin.SEARCH) -> TrialRecord:
        """Give a running trial with some folds finished."""
        return TrialRecord(10, "plain", {"size": 50}, origin, TrialState.RUNNING, None, scores, 1.0)

    def test_nothing_is_stopped_without_others_to_compare_with(self) -> None:
        assert not self.pruner.should_prune(self.running(0.1), [])
        assert not self.pruner.should_prune(self.running(0.1), self.field()[:1])

    def test_nothing_is_stopped_before_its_first_fold(self) -> None:
        assert not self.pruner.should_prune(self.running(), self.field())

    def test_what_leads_goes_on(self) -> None:
        assert not self.pruner.should_prune(self.running(0.9, 0.9), self.field())

    def test_what_somebody_asked_for_goes_on(self) -> None:
        for origin in (Origin.MANUAL, Origin.SWEEP):
            assert not self.pruner.should_prune(self.running(0.1, 0.1, 0.1, origin=origin), self.field())
