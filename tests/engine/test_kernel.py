"""Kernel machines: what they are good at, where they are tried, and that they hold no rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process.kernels import RBF
from sklearn.metrics import r2_score

from automl.engine.inference import Encoder, FittedModel, Member, Model
from automl.engine.learners import LEARNERS
from automl.engine.learners.kernel import MOST_WIDTH
from automl.engine.reasons import why_unsuited
from automl.engine.samplers.portfolio import default_entries
from automl.engine.schema import DataProfile
from automl.engine.study import Study
from automl.engine.testing import fit_fold, make_table
from automl.engine.trial import TaskType

KERNEL = LEARNERS["kernel"]


def waves(rows=400):
    """A smooth function of two numbers, which act together."""
    X = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    return X, np.sin(2.0 * X[:, 0]) * X[:, 1]


def fitted(family, X, y, **params):
    learner, data = LEARNERS[family], DataProfile(len(X), X.shape[1], TaskType.REGRESSION, metric="rmse")
    params = learner.space(data).validate(params)
    estimator = learner.build(data, params, seed=0, threads=1)
    return learner.fit(estimator, X, y, X, y, data=data, deadline=None).estimator


def test_what_is_smooth_it_learns_from_few_rows():
    X, y = waves()
    found = {
        family: r2_score(y[300:], fitted(family, X[:300], y[:300]).predict(X[300:]))
        for family in ("kernel", "linear", "extra_trees")
    }

    assert found["kernel"] > 0.9
    assert found["kernel"] > max(found["linear"], found["extra_trees"]) + 0.1


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_rows_are_as_alike_as_the_kernel_says(scale):
    X, y = waves(60)
    drawn = fitted("kernel", X, y, length_scale=scale, n_components=3_000).steps[0][1].transform(X)

    # In usual distances: the root of the number of columns.
    assert drawn @ drawn.T == pytest.approx(RBF(scale * np.sqrt(X.shape[1]))(X), abs=0.1)


def test_beyond_the_rows_of_training_it_says_what_it_says_at_their_edge():
    table = make_table(TaskType.REGRESSION)
    fold = fit_fold(KERNEL, table, KERNEL.space(table.data).default())
    edge, far = table.X_valid.copy(), table.X_valid.copy()
    edge[:, 0], far[:, 0] = np.nanmax(table.X[:, 0]), 1e12

    at_edge, beyond = (fold.fit.estimator.predict(fold.transformer.transform(X)) for X in (edge, far))

    assert beyond == pytest.approx(at_edge)
    assert beyond != pytest.approx(fold.predict(table.data))


def test_many_rows_are_predicted_some_at_a_time(monkeypatch):
    X, y = waves(60)
    schema = {
        "task_type": "regression",
        "columns": [{"name": f"c{place}", "kind": "numeric"} for place in range(2)],
        "features": [],
        "missing_values": [],
    }
    model = Model(Encoder(schema), [Member(1.0, [FittedModel(None, fitted("kernel", X, y))])])
    frame = pd.DataFrame(X, columns=model.feature_names_in_)
    expected = model.predict(frame)
    most = []
    kept = Model._combine_matrix
    monkeypatch.setattr(Model, "_combine_matrix", lambda own, rows: most.append(len(rows)) or kept(own, rows))
    monkeypatch.setattr("automl.engine.inference.model.WIDE_CHUNK_ROWS", 7)

    assert model.predict(frame) == pytest.approx(expected)
    assert max(most) == 7


def test_a_model_is_as_large_whatever_the_rows():
    sizes = []
    for rows in (100, 400):
        model = fitted("kernel", *waves(rows))
        arrays = [value for _, step in model.steps for value in vars(step).values() if np.ndim(value)]
        sizes.append(sum(np.size(value) for value in arrays))

    assert sizes[0] == sizes[1]


def test_only_of_few_rows_and_columns_a_search_tries_it_by_itself():
    data = make_table(TaskType.BINARY).data

    assert KERNEL.suits(data)
    assert KERNEL.suits(replace(data, rows=KERNEL.most_rows))
    long, wide = replace(data, rows=KERNEL.most_rows + 1), replace(data, numeric=MOST_WIDTH + 1)
    assert not KERNEL.suits(long)
    assert not KERNEL.suits(wide)
    assert why_unsuited(Study(long), "kernel").startswith("A search tries it by itself on up to 10,000 rows")
    assert why_unsuited(Study(wide), "kernel").startswith(
        "A search tries it by itself on tables of fewer columns"
    )


def test_it_is_tried_early_and_with_more_waves_only_where_rows_can_pay_for_them():
    def entries(rows):
        data = DataProfile(rows, 12, TaskType.BINARY, 2, metric="roc_auc")
        spaces = {key: learner.space(data) for key, learner in LEARNERS.items() if learner.suits(data)}
        return [each for each in default_entries(spaces, data) if not LEARNERS[each.family].stacks]

    assert "kernel" in [each.family for each in entries(8_000)[:12]]
    counts = [
        {each.params["n_components"] for each in entries(rows) if each.family == "kernel"}
        for rows in (500, 8_000)
    ]
    assert counts == [{1_000}, {1_000, 2_500}]
