"""CatBoost's statistics of two categories together, where there are far more pairs of levels than rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import load_model_from_string

from automl.engine.inference import Encoder, Model
from automl.engine.inference.onnx_model import session_of
from automl.engine.onnx import catboost
from automl.engine.onnx.export import MATRIX, export
from automl.engine.onnx.offer import offer
from automl.engine.testing import Table, make_table
from automl.engine.trial import TaskType
from tests.engine.test_onnx import member_of, schema_of


def pairs(levels: int = 2_000, used: int = 40) -> Table:
    """Two large categories that only tell together: of all pairs of levels few are there."""
    table, chance = make_table(TaskType.BINARY, rows=1_200), np.random.default_rng(0)
    X = np.concatenate([table.X, table.X_valid])
    first, second = chance.integers(0, used, (2, len(X)))
    X[:, 2], X[:, 3] = chance.permutation(levels)[first], chance.permutation(levels)[second]
    X[::50, 2] = np.nan
    y = ((7 * first + 13 * second) % 5 < 2).astype(np.int32)
    rows = len(table.X)
    return replace(
        table, X=X[:rows], X_valid=X[rows:], y=y[:rows], y_valid=y[rows:],
        data=replace(table.data, cardinalities=(levels, levels)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def paired() -> tuple[Model, Table]:
    table = pairs()
    return Model(Encoder(schema_of(table)), [member_of("catboost", table, iterations=60)]), table


@pytest.fixture
def hashed(monkeypatch) -> list[int]:
    """How many combinations were hashed at a time."""
    counts, hashes = [], catboost._hashes
    monkeypatch.setattr(
        catboost, "_hashes", lambda parts, places: counts.append(len(places)) or hashes(parts, places)
    )
    return counts


def test_combinations_that_training_had_are_looked_up_and_all_others_are_alike(paired, hashed):
    model, table = paired
    offered = offer(model, np.concatenate([table.X, table.X_valid]), np.concatenate([table.y, table.y_valid]))

    described = json.loads(offered.files["onnx.json"])
    assert described["reason"] is None
    # Every pair of levels would be four millions.
    assert max(hashed) < catboost.MOST_PLACES

    rows, chance = np.repeat(table.X_valid, 5, axis=0), np.random.default_rng(1)
    for column in (2, 3):
        rows[:, column] = chance.permutation(rows[:, column])
    rows[::3, 3] = chance.integers(0, 2_000, len(rows[::3]))
    seen = {tuple(row) for row in table.X[:, 2:4].tolist()}
    assert sum(tuple(row) not in seen for row in rows[:, 2:4].tolist()) > 500
    exported = export(model, table.X)
    assert "LabelEncoder" in {node.op_type for node in load_model_from_string(exported.core()).graph.node}
    session = session_of(exported.core())
    assert np.abs(session.run(None, {MATRIX: rows})[0] - model.predict_matrix(rows)).max() < 1e-6


def test_without_training_rows_combinations_are_tried_where_that_is_quick():
    table = pairs(levels=300)
    model = Model(Encoder(schema_of(table)), [member_of("catboost", table, iterations=60)])
    rows = table.X_valid
    for given in (None, table.X[:10]):
        session = session_of(export(model, given).core())
        assert np.abs(session.run(None, {MATRIX: rows})[0] - model.predict_matrix(rows)).max() < 1e-6


def test_too_many_combinations_to_try_are_given_up_at_once_and_said(paired, hashed):
    model, table = paired
    offered = offer(model, table.X[:10], table.y[:10])

    described = json.loads(offered.files["onnx.json"])
    assert described["reason"] == "CatBoost combined categories of too many levels"
    assert max(hashed) < catboost.MOST_PLACES


@pytest.mark.parametrize("family", ["linear", "neural_network"])
def test_a_graph_knows_large_categories_with_many_classes(family):
    table = make_table(TaskType.MULTICLASS, rows=600, classes=45)
    categories = {"categories": "target"} if family == "linear" else {}
    model = Model(Encoder(schema_of(table)), [member_of(family, table, **categories)])

    described = json.loads(offer(model, table.X_valid, table.y_valid).files["onnx.json"])

    assert described["reason"] is None
    assert described["parity"]["largest_difference"] < 2e-6
