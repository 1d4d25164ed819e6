"""Graphs of models say what the models say."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import QuantileTransformer, SplineTransformer

from automl.engine.bundle import load_texts
from automl.engine.inference import Encoder, FittedModel, Member, Model
from automl.engine.inference.onnx_model import OnnxModel, session_of, split_texts
from automl.engine.learners import LEARNERS
from automl.engine.onnx import catboost
from automl.engine.onnx import graph as graphs
from automl.engine.onnx import offer as offers
from automl.engine.onnx import parity as parities
from automl.engine.onnx.columns import add_columns, input_ports
from automl.engine.onnx.export import MATRIX, export
from automl.engine.onnx.graph import FLOAT, ML, ML_OPSET, OPSET, Graph, Port, Unsupported
from automl.engine.onnx.offer import offer
from automl.engine.onnx.scaling import _bend, _spread_by_rank
from automl.engine.onnx.trees import round_below, round_down
from automl.engine.preparation import Request, open_prepared, prepare, profile_columns
from automl.engine.testing import Table, fit_fold, make_table
from automl.engine.trial import TaskType

FAMILIES = [key for key, learner in LEARNERS.items() if not (learner.keeps_rows or learner.stacks)]
LARGE, SMALL = 120, 4


def schema_of(table: Table) -> dict:
    """The schema of `make_table`'s columns: numbers, and two categories at 2 and 3."""
    columns, features = [], []
    for place in range(table.X.shape[1]):
        name = f"column {place}"
        if place in table.data.categorical:
            count = table.data.cardinalities[table.data.categorical.index(place)]
            levels = [f"level {code}" for code in range(count)]
            columns.append({"name": name, "kind": "categorical", "categories": levels, "missing": 1})
            features.append({"name": name, "column": name, "kind": "category", "levels": count})
        else:
            columns.append({"name": name, "kind": "numeric"})
            features.append({"name": name, "column": name, "kind": "number"})
    return {
        "task_type": table.data.task_type.value,
        "classes": [f"class {code}" for code in range(table.data.classes)] or None,
        "columns": columns,
        "features": features,
        "missing_values": [],
    }


def member_of(family, table, *, folds=2, weight=1.0, **params) -> Member:
    learner = LEARNERS[family]
    chosen = learner.space(table.data).validate({**learner.first(table.data), **params})
    models = []
    for seed in range(folds):
        # Each on other rows, so that each has other splits and other encodings.
        rows = np.flatnonzero(np.arange(len(table.y)) % (folds + 1) != seed)
        part = replace(table, X=table.X[rows], y=table.y[rows])
        fold = fit_fold(learner, part, chosen, seed=seed)
        learner.thin(fold.fit.estimator, models=folds)
        models.append(FittedModel(fold.transformer, fold.fit.estimator, learner.layout))
    return Member(weight, models)


def model_of(family, task, **params) -> tuple[Model, Table]:
    table = make_table(TaskType(task))
    return Model(Encoder(schema_of(table)), [member_of(family, table, **params)]), table


def graph_of(model) -> OnnxModel:
    return OnnxModel(model.encoder.schema, session_of(export(model).whole()))


def run(graph, inputs, outputs, feed):
    return session_of(graph.written(inputs, outputs)).run(None, feed)


@pytest.mark.parametrize("task", [task.value for task in TaskType])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_says_what_its_model_says(family, task):
    model, table = model_of(family, task)
    rows = np.concatenate([table.X, table.X_valid])

    offered = offer(model, rows, np.concatenate([table.y, table.y_valid]))

    described = json.loads(offered.files["onnx.json"])
    assert described["reason"] is None
    assert described["parity"]["largest_difference"] < 2e-6
    assert described["parity"]["rows"] >= len(rows)


def test_what_is_written_is_a_valid_graph_of_the_nodes_that_its_outputs_need():
    graph = Graph()
    # As attributes, numbers make nodes whose own length takes one byte, two, and three.
    for length in (1, 200, 20_000):
        numbers = graph.add("Constant", value=np.arange(length, dtype=np.float32))
        graph.rename(graph.add("Add", numbers, graph.constant(np.float32(length))), f"sum{length}")
    ports = [Port(f"sum{length}", FLOAT, (length,)) for length in (20_000, 200)]

    data = graph.written([], ports)

    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Constant", "Add", "Identity"] * 2
    assert [onnx.numpy_helper.to_array(each) for each in model.graph.initializer] == [200, 20_000]
    assert [port.name for port in model.graph.output] == ["sum20000", "sum200"]
    assert (model.ir_version, model.producer_name) == (graphs.IR_VERSION, "bakeoff")
    assert {each.domain: each.version for each in model.opset_import} == {"": OPSET, ML: ML_OPSET}
    large, small = session_of(data).run(None, {})
    assert np.array_equal(large, np.arange(20_000, dtype=np.float32) + 20_000)
    assert np.array_equal(small, np.arange(200, dtype=np.float32) + 200)


def test_what_could_not_be_compared_to_its_end_is_not_offered_nor_called_the_same(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("no rows today")

    model, table = model_of("linear", "binary")
    monkeypatch.setattr(offers, "compare_raw", fails)
    described = json.loads(offer(model, table.X, table.y).files["onnx.json"])
    assert not described["offered"]
    assert "no rows today" in described["reason"]
    assert described["parity"] is None


def test_where_there_is_no_time_the_first_rows_are_compared():
    model, table = model_of("lightgbm", "binary")
    rows, targets = np.tile(table.X, (20, 1)), np.tile(table.y, 20)
    found = [offer(model, rows, targets, seconds=seconds) for seconds in (0.0, 1e6)]
    compared = [json.loads(each.files["onnx.json"])["parity"]["rows"] for each in found]
    near = min(parities.NEAR_ROWS, 3 * len(export(model).thresholds))
    assert compared[0] == min(parities.FIRST_ROWS, near) + parities.FIRST_ROWS + parities.RAW_ROWS
    assert compared[1] == near + len(rows) + parities.RAW_ROWS


def test_catboost_asks_for_each_level_where_there_are_two(monkeypatch):
    table = make_table(TaskType.BINARY)
    small = table.data.categorical[table.data.cardinalities.index(SMALL)]
    X, X_valid = (part.copy() for part in (table.X, table.X_valid))
    for part in (X, X_valid):
        part[:, small] = np.nan_to_num(part[:, small]) % 2
    counts = tuple(2 if count == SMALL else count for count in table.data.cardinalities)
    table = replace(table, X=X, X_valid=X_valid, data=replace(table.data, cardinalities=counts))
    model = Model(Encoder(schema_of(table)), [member_of("catboost", table)])
    asked = []
    hashes = catboost._code_hashes
    monkeypatch.setattr(catboost, "_code_hashes", lambda levels: asked.append(levels) or hashes(levels))

    offered = offer(model, np.concatenate([X, X_valid]), np.concatenate([table.y, table.y_valid]))

    described = json.loads(offered.files["onnx.json"])
    assert described["reason"] is None
    assert described["parity"]["largest_difference"] < 2e-6
    assert 2 in asked


@pytest.mark.parametrize("params", [
    {"numeric": "quantile"},
    {"numeric": "splines"},
    {"categories": "one_hot"},
    {"penalty": "elasticnet", "l1_ratio": 0.5},
])  # fmt: skip
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_linear_model_is_the_same_however_its_columns_are_prepared(task, params):
    model, table = model_of("linear", task, **params)
    found = offer(model, table.X, table.y)
    assert json.loads(found.files["onnx.json"])["parity"]["largest_difference"] < 1e-6


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "hist_boosting", "random_forest", "catboost"])
def test_numbers_beside_a_split_point_go_where_the_library_puts_them(family):
    model, table = model_of(family, "binary")
    exported = export(model)
    thresholds = [(column, value) for column, value in exported.thresholds if abs(value) < 1e30][:400]
    rows = np.repeat(table.X_valid[:1], 3 * len(thresholds), axis=0)
    for place, (column, value) in enumerate(thresholds):
        near = np.float32(value)
        rows[3 * place : 3 * place + 3, column] = [
            np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)),
        ]  # fmt: skip
    session = session_of(exported.core())

    assert len(thresholds) > 20
    found = session.run(None, {MATRIX: rows})[0]
    assert np.abs(found - model.predict_matrix(rows)).max() < 1e-6


def test_thresholds_are_rounded_to_where_they_decide_the_same():
    numbers = np.float32([0.1, -0.1, 1e-35, 16_777_217, 0.0])
    wide = np.array([0.1, -0.1, 1.0000000180025095e-35, 16_777_217.5, 0.0])
    for number, threshold in zip(numbers, wide, strict=True):
        for near in (number, np.nextafter(number, np.float32(9e9)), np.nextafter(number, np.float32(-9e9))):
            assert (near <= round_down(threshold)) == (float(near) <= threshold)
            assert (near <= round_below(threshold)) == (float(near) < threshold)
    assert round_down(np.inf) == np.inf
    assert round_down(1e300) == np.finfo(np.float32).max


def test_tiny_numbers_are_zeros_to_lightgbm():
    table = make_table(TaskType.BINARY)
    # Where zero is the least of the positive numbers, a split lies between them and zero.
    X = np.where(np.abs(table.X) < 0.4, 0.0, table.X).astype(np.float32)
    model = Model(Encoder(schema_of(table)), [member_of("lightgbm", replace(table, X=X))])
    rows = np.repeat(X[:1], 6, axis=0)
    tiny = np.float32(1e-35)
    rows[:, 0] = [
        tiny,
        -tiny,
        np.nextafter(tiny, np.float32(1)),
        -np.nextafter(tiny, np.float32(1)),
        0,
        1e-40,
    ]

    found = session_of(export(model).core()).run(None, {MATRIX: rows})[0]

    assert np.abs(found - model.predict_matrix(rows)).max() < 1e-6


def test_an_ensemble_weighs_and_tempers_its_members():
    table = make_table(TaskType.MULTICLASS)
    members = [
        replace(member_of("linear", table, weight=0.7), temperature=0.6),
        member_of("extra_trees", table, weight=0.3),
    ]
    model = Model(Encoder(schema_of(table)), members, 1.4)
    assert json.loads(offer(model, table.X, table.y).files["onnx.json"])["offered"]


def test_logarithms_are_bounded_and_multiplied():
    table = make_table(TaskType.REGRESSION)
    logs = replace(table, y=table.y / 50, y_valid=table.y_valid / 50)
    member = member_of("lightgbm", logs)
    bounded = [replace(f, log_bounds=(1.0 + n, 3.0), log_offset=0.5) for n, f in enumerate(member.models)]
    model = Model(Encoder(schema_of(table)), [replace(member, models=bounded, factor=1.1)])
    found = json.loads(offer(model, table.X, np.exp(logs.y)).files["onnx.json"])
    assert found["offered"]


@pytest.mark.parametrize("family", ["linear", "extra_trees", "lightgbm", "hist_boosting", "xgboost"])
def test_a_class_that_a_fold_never_saw_gets_no_chance_from_it(family):
    table = make_table(TaskType.MULTICLASS, rows=400, classes=4)
    whole = member_of(family, table)
    kept, held = table.y != 3, table.y_valid != 3
    seen = {"X": table.X[kept], "y": table.y[kept]}
    seen |= {"X_valid": table.X_valid[held], "y_valid": table.y_valid[held]}
    three = member_of(family, replace(table, **seen), folds=1)
    model = Model(Encoder(schema_of(table)), [replace(whole, models=[*whole.models, *three.models])])
    assert list(three.models[0].estimator.classes_) == [0, 1, 2]

    found = session_of(export(model).core()).run(None, {MATRIX: table.X})[0]

    assert np.abs(found - model.predict_matrix(table.X)).max() < 2e-6


@pytest.mark.parametrize("spread", ["uniform", "normal"])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e6])
def test_ranks_are_those_of_scikit_learn_also_at_repeated_and_outermost_quantiles(scale, spread):
    chance = np.random.default_rng(0)
    fitted_on = np.column_stack([
        np.round(chance.normal(size=500), 1) * scale,
        np.where(chance.random(500) < 0.4, 0.0, chance.random(500)) * scale,
        np.minimum(chance.random(500), 0.7) * scale,
    ]).astype(np.float32)  # fmt: skip
    steps = QuantileTransformer(n_quantiles=30, output_distribution=spread, subsample=None).fit(fitted_on)
    near = [fitted_on, *(np.nextafter(fitted_on, np.float32(side)) for side in (-9e9, 9e9))]
    rows = np.concatenate([*near, steps.quantiles_.astype(np.float32), fitted_on * 3, -fitted_on])
    graph = Graph()
    graph.rename(_spread_by_rank(graph, "X", [steps]), "found")

    (found,) = run(graph, [Port("X", FLOAT, ("n", 3))], [Port("found", FLOAT, ("n", 3))], {"X": rows})

    assert np.abs(found - steps.transform(rows)).max() < 2e-6


def test_splines_are_those_of_scikit_learn_also_at_and_beyond_their_knots():
    chance = np.random.default_rng(0)
    mostly_last = np.minimum(chance.integers(0, 30, 400), 3)
    # Where a number is frequent, several knots fall on it: also on the first, the last, and on both.
    few = [chance.integers(0, 3, 400), chance.integers(0, 2, 400), mostly_last, -mostly_last, np.ones(400)]
    fitted_on = np.column_stack([chance.normal(size=400), *few]).astype(np.float32)
    steps = SplineTransformer(n_knots=6, degree=2, knots="quantile", include_bias=False).fit(fitted_on)
    knots = np.column_stack([spline.t[2:-2] for spline in steps.bsplines_]).astype(np.float32)
    beside = [np.nextafter(knots, np.float32(side)) for side in (-np.inf, np.inf)]
    rows = np.concatenate([fitted_on, knots, knots * 5, -9 * np.abs(knots), *beside])
    graph = Graph()
    graph.rename(_bend(graph, "X", [steps]), "found")
    wanted = steps.transform(rows)

    ports = [Port("X", FLOAT, ("n", 6))], [Port("found", FLOAT, ("n", wanted.shape[1]))]
    (found,) = run(graph, *ports, {"X": rows})

    assert np.abs(found - wanted).max() < 1e-6


def test_columns_are_encoded_as_the_encoder_encodes_them():
    schema = {
        "task_type": "regression",
        "columns": [
            {"name": "label", "kind": "categorical", "categories": ["5", "None", "x"], "missing": 0},
            {"name": "number", "kind": "numeric"},
            {"name": "day", "kind": "datetime", "format": None,
             "parts": ["days", "year", "month", "day", "weekday", "hour"]},
            {"name": "flag", "kind": "boolean", "categories": ["True", "False"], "missing": 0},
            {"name": "bit", "kind": "boolean", "categories": ["0", "1"], "missing": 0},
        ],
        "features": [],
        "missing_values": [],
    }  # fmt: skip
    moments = [
        "1899-12-31 23:59:59", "1900-02-28", "1900-03-01", "1969-12-31 23:59:59.999999", "1970-01-01",
        "1999-12-31 12:30", "2000-02-29 06:59:59", "2000-03-01", "2023-12-31", "2024-02-29 00:00:01",
        "2100-02-28", "2100-03-01 23:59", "2255-01-01", None, "nonsense",
    ]  # fmt: skip
    count = len(moments)
    frame = pd.DataFrame({
        "label": (["5", 5.0, "x", None, "new", " ", "None"] * 3)[:count],
        "number": ([1.5, np.inf, -np.inf, None, 3.4e38, -1e300, 16_777_217.0, 0.1] * 2)[:count],
        "day": moments,
        "flag": (["true", True, "FALSE", None, "no", 1, "0"] * 3)[:count],
        "bit": (["true", True, "FALSE", None, "no", 1, "0", "01"] * 3)[:count],
    })  # fmt: skip
    encoder = Encoder(schema)
    graph = Graph()
    graph.rename(add_columns(graph, encoder), "found")
    ports = input_ports(schema)
    wanted = encoder.transform(frame)
    model = graph.written(ports, [Port("found", FLOAT, ("rows", wanted.shape[1]))])
    # OnnxModel knows how cells become inputs; what it asks for does not matter to that.
    cells = OnnxModel({**schema, "classes": None}, session_of(model))

    feed = {column.input: column.values(frame[column.name]) for column in cells._columns}

    assert np.array_equal(cells.session.run(None, feed)[0], wanted, equal_nan=True)


def test_words_are_the_very_numbers_that_training_saw(tmp_path):
    # Trees split where two rows differ, were it in the last digit: close is not enough.
    chance = np.random.default_rng(0)
    vocabulary = [f"{kind}{number}" for kind in ("red", "old", "slow") for number in range(40)]
    notes = [" ".join(chance.choice(vocabulary, chance.integers(3, 12))) for _ in range(400)]
    frame = pd.DataFrame({"note": notes, "bought": chance.choice(["a", "b"], 400)})
    prepare(Request(frame=frame, columns=profile_columns(frame), target="bought"), tmp_path / "prepared")
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    encoder = Encoder(schema, load_texts(tmp_path / "prepared" / "texts.skops"))
    graph = Graph()
    graph.rename(add_columns(graph, encoder), "found")
    trained = np.asarray(open_prepared(tmp_path / "prepared").X)
    model = graph.written(input_ports(schema), [Port("found", FLOAT, ("rows", trained.shape[1]))])
    cells = OnnxModel(schema, session_of(model))

    feed = {column.input: split_texts(column.values(frame[column.name])) for column in cells._columns}

    assert trained.shape[1] > 4
    assert np.array_equal(encoder.transform(frame), trained)
    assert np.array_equal(cells.session.run(None, feed)[0], trained)


def test_one_long_text_makes_the_rows_of_its_own_chunk_wide_alone(monkeypatch):
    frame = pd.DataFrame({"note": [f"red car {n}" for n in range(399)] + ["word " * 5_000]})
    schema = {
        "columns": [{"name": "note", "kind": "text", "text": 0}],
        "features": [],
        "missing_values": [],
        "classes": ["a", "b"],
        "task_type": "binary",
        "metric": "roc_auc",
    }
    session = WidthSession()
    model = OnnxModel(schema, session)
    monkeypatch.setattr("automl.engine.inference.onnx_model.MOST_CHUNK_ROWS", 100)
    monkeypatch.setattr("automl.engine.inference.onnx_model.LEAST_CHUNK_ROWS", 1)

    model.predict_raw(frame)

    assert sorted(session.widths) == [5, 5, 5, 5_002]


class WidthSession:
    """Notes how wide its one input is."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def get_inputs(self):
        return [SimpleNamespace(name="note")]

    def run(self, names, feed):
        self.widths.append(feed["note"].shape[1])
        return [np.zeros((len(feed["note"]), 2))]


def test_words_that_an_earlier_release_prepared_get_no_graph(tmp_path):
    notes = [f"red car number {n % 7} of {n % 11}" for n in range(60)]
    frame = pd.DataFrame({"note": notes, "y": [0, 1] * 30})
    prepare(Request(frame=frame, columns=profile_columns(frame), target="y"), tmp_path / "prepared")
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    (column,) = schema["columns"]
    del column["decimals"]

    with pytest.raises(Unsupported, match="earlier release"):
        add_columns(Graph(), Encoder(schema, load_texts(tmp_path / "prepared" / "texts.skops")))


def test_an_input_is_not_named_as_an_output():
    table = make_table(TaskType.BINARY)
    schema = schema_of(table)
    for place, name in enumerate(["label", "probabilities", "prediction"]):
        schema["columns"][place]["name"] = schema["features"][place]["name"] = name
    model = Model(Encoder(schema), [member_of("linear", table)])
    offered = offer(model, table.X, table.y)
    inputs = json.loads(offered.files["onnx.json"])["inputs"]
    assert [found["name"] for found in inputs[:3]] == [
        "column label",
        "column probabilities",
        "column prediction",
    ]
    assert offered.model is not None


def test_a_graph_that_differs_is_not_offered_and_says_by_how_much(monkeypatch):
    model, table = model_of("linear", "binary")
    truth = model.predict_matrix
    monkeypatch.setattr(model, "predict_matrix", lambda X: truth(X) + 2e-5)

    offered = offer(model, table.X, table.y)

    assert list(offered.files) == ["onnx.json"]
    assert offered.model is None
    assert "differs from the trained model by up to 2e-05" in json.loads(offered.files["onnx.json"])["reason"]


def test_predictions_that_are_no_numbers_are_a_difference():
    found = parities.Parity()
    found.add(np.array([1.0, np.nan]), np.array([1.0, 1.0]), 1.0)
    assert not found.holds


def test_what_is_not_known_is_named_and_no_error():
    model, table = model_of("linear", "binary")
    fold = model.members[0].models[0]
    strange = SGDClassifier(loss="log_loss").fit(fold.preprocess.transform(table.X), table.y)
    odd = Model(model.encoder, [Member(1.0, [FittedModel(fold.preprocess, strange)])])

    described = json.loads(offer(odd, table.X, table.y).files["onnx.json"])

    assert (described["offered"], described["reason"]) == (False, "SGDClassifier is not known")


def test_a_graph_that_is_too_large_is_given_up(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_BYTES", 1 << 20)
    graph = Graph()
    with pytest.raises(Unsupported, match="over 1 MB"):
        graph.constant(np.arange(1e6))


def test_rows_are_predicted_as_frames_are_however_json_writes_them():
    model, _ = model_of("lightgbm", "binary")
    graph = graph_of(model)
    cells = [
        {"column 0": 1, "column 2": "level 1", "column 3": None},
        {"column 0": "1.5", "column 2": "never seen", "column 3": "level 7 "},
        {"column 0": " 1,234 ", "column 2": None, "column 3": "level 119"},
        {"column 0": None, "column 2": 3, "column 3": 4.0},
        {"column 0": 10**400, "column 1": "words", "column 2": True},
    ]
    rows = [{f"column {place}": None for place in range(6)} | row for row in cells]

    found = graph.predict_rows(rows)

    for row, chances in zip(rows, found["probabilities"], strict=True):
        alone = {name: ["inf" if cell == 10**400 else cell] for name, cell in row.items()}
        assert model.predict_proba(pd.DataFrame(alone))[0] == pytest.approx(chances, abs=1e-6)
        assert graph.predict_rows([row])["probabilities"][0] == pytest.approx(chances, abs=1e-9)
    assert found["classes"] == ["class 0", "class 1"]
    assert set(found["predictions"]) <= set(found["classes"])
    assert graph.predict_rows([]) == {"predictions": [], "classes": found["classes"], "probabilities": []}
