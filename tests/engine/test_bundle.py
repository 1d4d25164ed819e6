import csv
import hashlib
import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl.engine import bundle, inference
from automl.engine.bundle import _excess, package
from automl.engine.errors import UserError
from automl.engine.evaluation import read_member
from automl.engine.model_file import skops_bytes
from automl.engine.preparation import open_prepared
from tests.engine.tables import evaluated, people, prepared, read_whole, stories

FAMILIES = [
    "linear",
    "kernel",
    "lightgbm",
    "catboost",
    "xgboost",
    "extra_trees",
    "hist_boosting",
    "neural_network",
]


def packaged(
    folder,
    target,
    metric,
    families=("linear", "lightgbm"),
    frame=None,
    *,
    params=None,
    hurry=False,
    shares=None,
    test=None,
    honest=None,
    **settings,
):
    """Fit, package and unpack; `params` are for all families, or by family; `shares` are of the members;
    `test` is the path of a stored table, `honest` of predictions that the members are judged by."""
    frame = people() if frame is None else frame
    prepared(folder, frame, target, metric=metric, **settings)
    trials = [
        evaluated(folder, family, number, metric, **(params or {}).get(family, params or {}))
        for number, family in enumerate(families)
    ]
    args = {
        "prepared": str(folder / "prepared"),
        "members": [
            {**trial, **share}
            for trial, share in zip(
                trials, shares or [{"weight": 1 / len(trials)}] * len(trials), strict=True
            )
        ],
        "metric": metric,
        "name": "Ensemble",
        "experiment": {
            "name": "people",
            "dataset": "people.csv",
            "rows": len(frame),
            "time_budget": 20.0,
            "warnings": ["a warning"],
        },
        "hurry": hurry,
        "leaderboard": [{"rank": 1, "name": "Ensemble", "score": 0.9, "score_low": 0.8, "score_high": 0.95}],
        "test_table": None if test is None else str(test),
        "honest": None if honest is None else str(honest),
        "out": str(folder / "bundle.zip"),
    }
    result = package(args)
    unpacked = folder / "bundle"
    zipfile.ZipFile(folder / "bundle.zip").extractall(unpacked)
    return result, unpacked


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return packaged(tmp_path_factory.mktemp("binary"), "bought", "roc_auc")


def test_a_bundle_holds_what_it_must(binary):
    result, folder = binary

    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    code = {f"bakeoff_model/{path.name}" for path in Path(inference.__file__).parent.glob("*.py")}
    assert names == {
        "model.skops",
        "model.onnx",
        "onnx.json",
        "predict.py",
        "requirements.txt",
        "model_card.md",
        "model_card.html",
        "train_0.py",
        "train_1.py",
        "schema.json",
        "conformal.json",
        "metrics.json",
        "leaderboard.csv",
        "SHA256SUMS",
        "golden.json",
        "serve.py",
        "Dockerfile",
        ".dockerignore",
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "input_example.json",
        "requirements-parquet.txt",
        *code,
    }
    assert "bakeoff_model/__init__.py" in code
    assert "ARG PYTHON={}.{}\n".format(*sys.version_info) in (folder / "Dockerfile").read_text()
    assert {file["name"] for file in result["files"]} == names
    assert result["sha256"] == hashlib.sha256((folder.parent / "bundle.zip").read_bytes()).hexdigest()
    assert result["metrics"]["validation"]["roc_auc"]["value"] == 0.9


def test_the_command_line_predicts_in_an_interpreter_that_knows_nothing_of_us(binary, tmp_path):
    _, folder = binary
    people(30, seed=5).to_csv(tmp_path / "input.csv", index=False)

    subprocess.run(
        [sys.executable, "-IB", str(folder / "predict.py"), "input.csv", "output.csv"],
        cwd=tmp_path,
        check=True,
        env={},
        timeout=60,
    )

    output = pd.read_csv(tmp_path / "output.csv")
    assert list(output.columns) == ["prediction", "probability_no", "probability_yes"]
    assert len(output) == 30
    assert np.allclose(output[["probability_no", "probability_yes"]].sum(axis=1), 1)
    assert ((output["probability_yes"] > 0.5) == (output["prediction"] == "yes")).all()
    assert (output["prediction"] == people(30, seed=5)["bought"]).mean() > 0.7


def test_a_loaded_model_imports_nothing_of_ours(binary):
    _, folder = binary
    code = (
        "import sys, pandas; sys.path.insert(0, '.'); from predict import load; m = load();"
        "m.predict(pandas.DataFrame({'age': [3], 'city': ['x'], 'joined': ['2020-01-01'], 'note': ['a']}));"
        "assert not [n for n in sys.modules if n.split('.')[0] in ('automl', 'django', 'workers')]"
    )

    subprocess.run([sys.executable, "-IB", "-c", code], cwd=folder, check=True, env={}, timeout=60)


@pytest.mark.parametrize(
    ("target", "metric", "labels"),
    [
        ("bought", "roc_auc", ["no", "yes"]),
        ("plan", "log_loss", ["bronze", "gold", "silver"]),
        ("spent", "rmse", None),
    ],
)
def test_every_task_predicts_what_its_members_predict(tmp_path, target, metric, labels):
    _, folder = packaged(tmp_path, target, metric, families=["linear"])

    model = inference.load(folder, runtime="skops")
    frame = people()

    found = open_prepared(tmp_path / "prepared")
    if labels is None:
        assert np.corrcoef(model.predict(frame), frame["spent"])[0, 1] > 0.7
        with pytest.raises(AttributeError, match="regression"):
            model.predict_proba(frame)
    else:
        assert model.classes_.tolist() == labels
        assert (model.predict(frame) == frame[target]).mean() > 0.7
        assert model.predict_proba(frame).shape == (240, len(labels))
    assert np.array_equal(model.encoder.transform(frame), np.asarray(found.X), equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_predicts_the_same_after_storing(tmp_path, family):
    _, folder = packaged(tmp_path, "bought", "roc_auc", families=[family])
    found = open_prepared(tmp_path / "prepared")
    member = read_member(tmp_path / "trial-0")
    mean = member.predict(np.asarray(found.X), classes=2, categorical=found.profile.categorical)

    model = inference.load(folder, runtime="skops")
    expected = inference.temper(mean, model.temperature)

    assert model.predict_proba(people()) == pytest.approx(expected, abs=1e-6)
    assert inference.load(folder, runtime="onnx").predict_proba(people()) == pytest.approx(expected, abs=1e-5)
    assert inference.verify_bundle(folder).verdict == "identical"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_the_same_of_texts_of_many_words_after_storing(tmp_path, family):
    frame = stories()
    _, folder = packaged(tmp_path, "bought", "roc_auc", families=[family], frame=frame)
    found = open_prepared(tmp_path / "prepared")
    assert found.profile.minor
    member = read_member(tmp_path / "trial-0")
    mean = member.predict(np.asarray(found.X), classes=2, categorical=found.profile.categorical)

    model = inference.load(folder, runtime="skops")
    expected = inference.temper(mean, model.temperature)

    assert model.predict_proba(frame) == pytest.approx(expected, abs=1e-6)
    assert inference.load(folder, runtime="onnx").predict_proba(frame) == pytest.approx(expected, abs=1e-5)
    assert inference.verify_bundle(folder).verdict == "identical"


def test_weights_of_words_are_stored_small_and_what_members_have_counted_alike_once(tmp_path):
    _, folder = packaged(tmp_path, "bought", "roc_auc", families=["linear", "linear"], frame=stories())

    one, two = (member["models"] for member in inference.load_skops(folder / "model.skops")["members"])

    assert one[0]["estimator"].coef_.dtype == np.float32
    assert all(a is b for a, b in zip(one[0]["words"]["idf"], two[0]["words"]["idf"], strict=True))
    assert one[0]["words"]["idf"][0] is not one[1]["words"]["idf"][0]


def test_probabilities_of_a_bundle_are_calibrated_on_rows_that_no_fold_model_saw(tmp_path):
    result, folder = packaged(tmp_path, "bought", "roc_auc", families=["random_forest"])
    found = open_prepared(tmp_path / "prepared")
    from automl.engine.calibration import fit_temperature
    from automl.engine.evaluation import read_predictions
    from automl.engine.metrics import METRICS

    oof, y = read_predictions(tmp_path / "trial-0"), np.asarray(found.y)
    temperature = inference.load(folder, runtime="skops").temperature

    assert temperature == pytest.approx(fit_temperature(y, oof))
    assert result["metrics"]["validation"]["log_loss"]["value"] <= METRICS["log_loss"].value(y, oof)


@pytest.mark.parametrize(
    ("target", "metric", "other", "shares"),
    [
        ("bought", "roc_auc", "log_loss", [{"weight": 1.0, "power": 0.2}, {"weight": 0.0, "power": -0.15}]),
        ("bought", "roc_auc", "brier", [{"weight": 1.0}, {"weight": 0.0, "power": -0.15}]),
        ("plan", "log_loss", "accuracy", [{"weight": 0.6, "power": -0.1}, {"weight": 0.4, "power": 0.3}]),
        ("spent", "rmse", "mae", [{"weight": 1.1}, {"weight": -0.1}]),
        ("spent", "rmse", "mae", [{"weight": 2.0}, {"weight": -1.6}]),
    ],
)
def test_a_corrected_mean_is_the_same_after_storing_as_a_graph_and_on_the_board(
    tmp_path, target, metric, other, shares
):
    from automl.engine.evaluation import as_packaged, read_members
    from automl.engine.metrics import METRICS

    result, folder = packaged(tmp_path, target, metric, families=["lightgbm", "linear"], shares=shares)
    found, frame = open_prepared(tmp_path / "prepared"), people()
    members = [
        {"dir": str(tmp_path / f"trial-{n}"), "family": family, **share}
        for n, (family, share) in enumerate(zip(("lightgbm", "linear"), shares, strict=True))
    ]
    model = inference.load(folder, runtime="skops")
    own = read_members(members)
    here = inference.Model(model.encoder, own, model.temperature)

    expected = here.predict_raw(frame)
    assert model.predict_raw(frame) == pytest.approx(expected, rel=1e-6)
    # By the size of the numbers: where members cancel each other out, one of them is next to nothing.
    close = pytest.approx(expected, rel=0, abs=1e-6 * np.ptp(expected))
    assert inference.load(folder, runtime="onnx").predict_raw(frame) == close
    assert inference.verify_bundle(folder).verdict == "identical"
    _, predicted, _ = as_packaged(found, members)
    value = METRICS[other].value(np.asarray(found.y), predicted)
    assert result["metrics"]["validation"][other]["value"] == pytest.approx(value)
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "taken back" in card or "takes back" in card
    if found.classes:
        assert f"{shares[1]['power']:+.3f}" in card
        assert "one of several members" in (folder / "train_0.py").read_text(encoding="utf-8")
        assert f"(power {shares[1]['power']:+.3f})" in (folder / "train_1.py").read_text(encoding="utf-8")


def test_labels_keep_their_type(tmp_path):
    frame = people().assign(plan=lambda f: f["plan"].map({"bronze": 1, "silver": 2, "gold": 3}))

    _, folder = packaged(
        tmp_path, "plan", "log_loss", families=["linear"], frame=frame, task_type="multiclass"
    )
    model = inference.load(folder)

    assert model.classes_.tolist() == [1, 2, 3]
    assert model.predict(frame).dtype.kind == "i"


def test_no_row_of_the_training_table_is_in_the_bundle(binary):
    _, folder = binary
    frame = people()
    inside = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    with zipfile.ZipFile(folder / "model.skops") as archive:
        inside += b"".join(archive.read(name) for name in archive.namelist())

    for note in frame["note"]:
        assert note.encode() not in inside
    matrix = np.asarray(open_prepared(folder.parent / "prepared").X)
    for row in matrix[:50]:
        assert row.tobytes() not in inside
        assert row.astype(np.float64).tobytes() not in inside


def test_neighbours_answer_from_training_rows_and_are_not_packaged(tmp_path):
    with pytest.raises(UserError, match="looking training rows up"):
        packaged(tmp_path, "bought", "roc_auc", families=["neighbors"])


def test_the_same_model_gives_the_same_file_but_for_the_date(tmp_path):
    _, one = packaged(tmp_path / "a", "bought", "roc_auc", families=["linear"])
    _, other = packaged(tmp_path / "b", "bought", "roc_auc", families=["linear"])

    for name in ("schema.json", "predict.py", "requirements.txt", "leaderboard.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_missing_columns_are_named_on_the_command_line(binary, tmp_path):
    _, folder = binary
    (tmp_path / "input.csv").write_text("age,note\n3,x\n")

    done = subprocess.run(
        [sys.executable, "-IB", str(folder / "predict.py"), "input.csv", "output.csv"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={},
        timeout=60,
    )

    assert done.returncode == 2
    assert "'city', 'joined'" in done.stderr
    assert not (tmp_path / "output.csv").exists()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_in_another_dialect_are_read(binary, tmp_path, delimiter):
    _, folder = binary
    frame = people(20, seed=3)
    frame.to_csv(tmp_path / "input.csv", index=False, sep=delimiter, encoding="utf-16")
    model = inference.load(folder)

    found = read_whole(tmp_path / "input.csv", model.encoder.schema)

    assert model.predict_proba(found) == pytest.approx(model.predict_proba(frame), abs=1e-6)


@pytest.mark.parametrize("runtime", ["skops", "onnx"])
def test_a_model_predicts_no_rows_one_row_and_more_rows_than_a_chunk(binary, monkeypatch, runtime):
    _, folder = binary
    model = inference.load(folder, runtime=runtime)
    monkeypatch.setattr(inference.model, "CHUNK_ROWS", 50)

    assert model.predict_proba(people().head(0)).shape == (0, 2)
    whole = model.predict_proba(people())
    assert whole.shape == (240, 2)
    for row in (7, 207):
        assert whole[row] == pytest.approx(model.predict_proba(people().iloc[[row]])[0], abs=1e-6)


@pytest.mark.parametrize(
    ("threads", "chunks"), [(1, [60, 60, 60, 60]), (3, [40] * 6), (4, [60] * 4), (8, [30] * 8)]
)
def test_a_graph_gets_rows_in_equal_chunks_for_its_threads(binary, monkeypatch, threads, chunks):
    _, folder = binary
    model = inference.load(folder, runtime="onnx")
    alone = [model.predict_proba(people().iloc[[row]])[0] for row in range(240)]
    monkeypatch.setattr(inference.onnx_model, "MOST_CHUNK_ROWS", 70)
    monkeypatch.setattr(inference.onnx_model, "LEAST_CHUNK_ROWS", 20)
    model._threads = threads
    seen, run = [], model._run
    monkeypatch.setattr(
        model, "_run", lambda cells: seen.append(len(next(iter(cells.values())))) or run(cells)
    )

    found = model.predict_proba(people())

    assert sorted(seen) == sorted(chunks)
    assert found == pytest.approx(np.array(alone), abs=1e-12)


def test_the_end_of_a_search_waits_for_no_large_graph():
    assert "64 MB" in _excess(64 << 20, 10.0)
    assert _excess(17 << 20, 10.0) is None
    assert _excess(64 << 20, 600.0) is None
    assert _excess(64 << 20, None) is None


def test_only_a_package_that_is_waited_for_goes_without_its_graph(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "GRAPH_BYTES_A_SECOND", 0)
    for hurry in (True, False):
        result, folder = packaged(tmp_path / str(hurry), "bought", "roc_auc", ["linear"], hurry=hurry)
        assert result["graph_due"] is hurry
        said = json.loads((folder / "onnx.json").read_text())
        assert said["offered"] is not hurry
        assert (folder / "model.onnx").exists() is not hurry
        assert ("onnxruntime" in (folder / "requirements.txt").read_text()) is not hurry
    assert inference.load(tmp_path / "True" / "bundle").runtime == "skops"


def test_the_card_says_what_the_model_is(binary):
    _, folder = binary
    card = (folder / "model_card.md").read_text()

    for words in (
        "Predicts `bought`",
        "`no`, `yes`",
        "ROC AUC (optimised)",
        "python predict.py",
        "a warning",
        "LightGBM",
    ):
        assert words in card
    board = list(csv.DictReader(io.StringIO((folder / "leaderboard.csv").read_text())))
    assert board[0]["name"] == "Ensemble"
    assert json.loads((folder / "metrics.json").read_text())["provenance"]["dataset"] == "people.csv"


def test_requirements_pin_what_the_model_needs_and_no_more(tmp_path):
    _, folder = packaged(tmp_path, "bought", "roc_auc", families=["linear"])

    lines = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in lines] == [
        "numpy", "pandas", "scikit-learn", "skops", "onnxruntime",
    ]  # fmt: skip
    assert all("==" in line for line in lines)


def test_a_bundle_predicts_with_its_graph_where_onnx_runtime_is_installed(binary, monkeypatch):
    _, folder = binary
    assert inference.load(folder).runtime == "onnx"

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert inference.load(folder).runtime == "skops"
    with pytest.raises(inference.WrongVersion, match="onnxruntime is not installed"):
        inference.load(folder, runtime="onnx")


def test_a_bundle_without_a_graph_says_why_and_predicts_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.engine.onnx.parity.TOLERANCE", -1.0)
    _, folder = packaged(tmp_path, "bought", "roc_auc", families=["linear"])

    assert not (folder / "model.onnx").exists()
    assert "onnxruntime" not in (folder / "requirements.txt").read_text()
    assert inference.load(folder).runtime == "skops"
    with pytest.raises(inference.InputError, match="has no ONNX model: it differs from the trained model"):
        inference.load(folder, runtime="onnx")


@pytest.mark.parametrize("runtime", ["skops", "onnx"])
def test_rows_and_frames_are_predicted_the_same(binary, runtime):
    _, folder = binary
    model = inference.load(folder, runtime=runtime)
    frame = people(40, seed=8)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")

    found = model.predict_rows(rows)

    assert np.allclose(found["probabilities"], model.predict_proba(frame), atol=1e-9)
    assert found["predictions"] == model.predict(frame).tolist()
    assert model.predict_rows(rows[3:4])["probabilities"][0] == pytest.approx(
        found["probabilities"][3], abs=1e-7
    )
    with pytest.raises(inference.InputError, match="'city', 'joined', 'note'"):
        model.predict_rows([{"age": 3}])
    # As they may be written in the file that training read.
    padded = [{f" {name} ": cell for name, cell in row.items()} for row in rows]
    assert model.predict_rows(padded) == found
    assert np.array_equal(model.predict(frame.rename(columns="{} ".format)), model.predict(frame))


def test_a_model_file_is_what_skops_reads_without_its_blanks(monkeypatch):
    import skops.io
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    X = np.random.default_rng(0).normal(size=(50, 4))
    found = {"members": [make_pipeline(StandardScaler(), SplineTransformer()).fit(X)]}
    with monkeypatch.context() as patched:
        patched.delattr("zipfile.ZipFile.namelist")  # a list would be searched for each of the arrays
        written = skops_bytes(found)

    trusted = skops.io.get_untrusted_types(data=written)
    (again,) = skops.io.loads(written, trusted=trusted)["members"]
    assert np.array_equal(again.transform(X), found["members"][0].transform(X))
    assert len(written) < 0.75 * len(skops.io.dumps(found))
