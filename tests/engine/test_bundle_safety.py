"""A bundle that was tampered with is refused before anything of it is made, and runs nothing on load."""

import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from automl.engine import inference
from automl.engine.inference import Damaged, check_files, load, load_skops
from automl.engine.inference.safe import ALLOWED, OBJECTS, check_types


def node(loader, what, **rest):
    module, _, name = what.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": name, **rest}


def words(text):
    return node("JsonNode", "builtins.str", content=json.dumps(text), is_json=True)


def skops_file(tree, **files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", json.dumps({**tree, "protocol": 2, "_skops_version": "0.16.0"}))
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tuple_of(*items):
    return node("TupleNode", "builtins.tuple", content=list(items))


def running(code):
    """A file of plain skops in which numpy, of all libraries, runs a text as code."""
    nothing = node(
        "DictNode", "builtins.dict", content={}, key_types=node("ListNode", "builtins.list", content=[])
    )
    return skops_file(
        node(
            "ConstructorFromReduceNode",
            "numpy.testing._private.utils.runstring",
            content=tuple_of(words(code), nothing),
        )
    )


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_bundle_whose_model_would_run_code_through_a_trusted_library_is_refused(bundle, tmp_path, reseal):
    marker = tmp_path / "ran"
    (bundle / "model.skops").write_bytes(running(f"open({str(marker)!r}, 'w')"))
    reseal(bundle, "model.skops")

    with pytest.raises(Damaged, match=r"do not belong in a model: numpy\.testing.*runstring"):
        load(bundle, runtime="skops")

    assert not marker.exists()


def test_that_file_does_run_code_where_the_whole_library_is_trusted(tmp_path):
    payload = running(f"open({str(tmp_path / 'ran')!r}, 'w')")
    types = skops.io.get_untrusted_types(data=payload)

    skops.io.loads(payload, trusted=types)

    assert (tmp_path / "ran").exists()
    assert all(name.startswith("numpy.") for name in types)


def test_a_pickle_in_place_of_the_model_is_refused_unopened(bundle, tmp_path, reseal):
    marker = tmp_path / "ran"
    (bundle / "model.skops").write_bytes(pickle.dumps(Bomb(marker)))
    reseal(bundle, "model.skops")

    with pytest.raises(Damaged, match="no skops file"):
        load(bundle, runtime="skops")

    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker))).close()
    assert marker.exists()  # it would have


def test_a_pickle_inside_an_array_of_the_model_is_refused_unopened(tmp_path):
    array = io.BytesIO()
    np.save(array, np.array([Bomb(tmp_path / "ran")], dtype=object), allow_pickle=True)
    tree = node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")
    (tmp_path / "model.skops").write_bytes(skops_file(tree, **{"a.npy": array.getvalue()}))

    with pytest.raises(Damaged, match="pickle"):
        load_skops(tmp_path / "model.skops")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "tree",
    [
        node("FunctionNode", "builtins.eval"),
        node("FunctionNode", "sklearn.datasets._base.load_files"),
        node("TypeNode", "os.system"),
        node("PartialNode", "functools.partial", content={}),
        node("OperatorFuncNode", "operator.methodcaller", attrs=tuple_of(words("x"))),
        node("MethodNode", "sklearn.pipeline.Pipeline", content={}),
        node("ConstructorFromReduceNode", "sklearn.pipeline.Pipeline", content=tuple_of()),
        node("ObjectNode", "subprocess.Popen"),
        node("ObjectNode", "sklearn.gaussian_process._gpr.GaussianProcessRegressor"),
        node("DictNode", "builtins.dict", content={"a": node("ObjectNode", "pathlib.Path")}, key_types={}),
        node("NotYetInvented", "builtins.list", content=[]),
    ],
    ids=lambda tree: tree["__loader__"],
)
def test_what_is_not_on_the_list_is_refused(tree):
    with pytest.raises(Damaged, match="do not belong in a model"):
        check_types(skops_file(tree))


def test_an_older_protocol_whose_nodes_say_less_of_what_they_call_is_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", json.dumps({**words("x"), "protocol": 0}))

    with pytest.raises(Damaged, match="protocol 0"):
        check_types(out.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"{}"], ids=["empty", "cut off", "json"])
def test_what_is_no_skops_file_is_said_to_be_none(data):
    with pytest.raises(Damaged, match="no skops file"):
        check_types(data)


def test_every_name_on_the_list_can_be_found_and_none_of_the_objects_is_a_function():
    import importlib

    for name in sorted({name for names in ALLOWED.values() for name in names} - {"builtins.NoneType"}):
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, type) or name in ALLOWED["FunctionNode"], name
    assert {"lightgbm", "xgboost", "catboost", "linear"} <= OBJECTS.keys()


def replaced(tree, **changed):
    """A tree of scikit-learn with other nodes."""
    kind, arguments, state = tree.__reduce__()
    nodes = state["nodes"].copy()
    for name, value in changed.items():
        nodes[name][0] = value
    other = kind(*arguments)
    other.__setstate__({**state, "nodes": nodes})
    return other


@pytest.mark.parametrize(
    "changed",
    [{"left_child": 10**6}, {"right_child": -7}, {"left_child": 0}, {"feature": 99}, {"feature": -5}],
    ids=str,
)
def test_a_tree_that_leads_outside_or_in_a_circle_is_refused(tmp_path, changed):
    X = np.random.default_rng(0).normal(size=(60, 2))
    forest = ExtraTreesRegressor(2, random_state=0).fit(X, X[:, 0])
    skops.io.dump({"models": [forest]}, tmp_path / "model.skops")
    assert load_skops(tmp_path / "model.skops")["models"][0].predict(X) == pytest.approx(forest.predict(X))

    forest.estimators_[1].tree_ = replaced(forest.estimators_[1].tree_, **changed)
    skops.io.dump({"models": [forest]}, tmp_path / "model.skops")
    with pytest.raises(Damaged, match="not there"):
        load_skops(tmp_path / "model.skops")


@pytest.mark.parametrize("changed", [("left", 4000), ("right", 0), ("feature_idx", 2)], ids=str)
def test_a_tree_of_boosting_that_leads_outside_is_refused(tmp_path, changed):
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])
    skops.io.dump([model], tmp_path / "model.skops")
    assert load_skops(tmp_path / "model.skops")[0].predict(X) == pytest.approx(model.predict(X))

    name, value = changed
    model._predictors[1][0].nodes[name][0] = value
    skops.io.dump([model], tmp_path / "model.skops")
    with pytest.raises(Damaged, match="not there"):
        load_skops(tmp_path / "model.skops")


def test_a_flipped_bit_in_any_file_is_found(bundle):
    names = [line.partition("  ")[2] for line in (bundle / "SHA256SUMS").read_text().splitlines()]
    assert {path.name for path in bundle.iterdir() if path.is_file()} == {"SHA256SUMS"} | {
        name for name in names if "/" not in name
    }
    for name in names:
        whole = (bundle / name).read_bytes()
        (bundle / name).write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(Damaged, match=f"{name} is not the file that was packaged"):
            check_files(bundle)
        (bundle / name).write_bytes(whole)
    check_files(bundle)


def test_a_file_that_is_gone_is_named(bundle):
    (bundle / "schema.json").unlink()
    with pytest.raises(Damaged, match=r"lacks schema\.json"):
        load(bundle, runtime="skops")


def test_tables_may_lie_beside_a_bundle_but_nothing_among_its_code(bundle):
    (bundle / "rows.csv").write_text("a\n1\n")
    (bundle / "bakeoff_model" / "__pycache__").mkdir(exist_ok=True)
    check_files(bundle)

    (bundle / "bakeoff_model" / "encoder.abi3.so").write_bytes(b"")
    with pytest.raises(Damaged, match=r"encoder\.abi3\.so was added"):
        check_files(bundle)


@pytest.mark.parametrize(
    "line", ["0" * 64 + "  ../secret", "0" * 64 + "  /etc/passwd", "no checksum at all", "0" * 64 + "  "]
)
def test_checksums_that_lead_out_of_the_bundle_are_refused(bundle, line):
    with (bundle / "SHA256SUMS").open("a") as sums:
        sums.write(f"{line}\n")
    with pytest.raises(Damaged, match="names no file"):
        check_files(bundle)


def test_checksums_without_the_model_are_refused(bundle):
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    (bundle / "SHA256SUMS").write_text("\n".join(line for line in lines if "model.skops" not in line))
    with pytest.raises(Damaged, match=r"no line for model\.skops"):
        check_files(bundle)


def run(bundle, *arguments, options="-B"):
    return subprocess.run(
        [sys.executable, options, "predict.py", *arguments],
        cwd=bundle,
        check=False,
        capture_output=True,
        text=True,
        env={},
        timeout=60,
    )


def test_a_library_that_is_missing_is_named(bundle):
    done = run(bundle, "--verify", options="-BS")  # as in an environment where nothing is installed

    assert done.returncode == 3
    assert done.stderr == "No module named 'numpy'. Run: pip install -r requirements.txt\n"


def test_code_of_the_bundle_that_was_changed_is_not_run(bundle, tmp_path):
    marker = tmp_path / "ran"
    with (bundle / "bakeoff_model" / "errors.py").open("a") as file:
        file.write(f"\nopen({str(marker)!r}, 'w')\n")

    done = run(bundle, "--verify")

    assert done.returncode == 4
    assert "bakeoff_model/errors.py is not the file that was packaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert not marker.exists()


def test_a_file_of_ones_own_beside_the_model_is_not_taken_for_a_library(bundle, tmp_path):
    marker = tmp_path / "ran"
    for name in ("random.py", "numpy.py"):
        (bundle / name).write_text(f"open({str(marker)!r}, 'w')\n")

    done = run(bundle, "--verify")

    assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_two_bundles_in_one_process_each_use_their_own_code(made_bundle, bundle, reseal):
    (bundle / "bakeoff_model" / "errors.py").write_text(
        (bundle / "bakeoff_model" / "errors.py").read_text() + "\nMARK = 1\n"
    )
    reseal(bundle, "bakeoff_model/errors.py")
    code = (
        "import importlib.util, sys\n"
        "def get(folder):\n"
        "    spec = importlib.util.spec_from_file_location('p', folder + '/predict.py')\n"
        "    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); return module\n"
        "one, two = get(sys.argv[1]), get(sys.argv[2])\n"
        "errors = [sys.modules[m.InputError.__module__] for m in (one, two)]\n"
        "assert one.InputError is not two.InputError and hasattr(errors[1], 'MARK')\n"
        "assert len(one.load().feature_names_in_) == len(two.load().feature_names_in_) > 0\n"
    )
    subprocess.run(
        [sys.executable, "-IB", "-c", code, str(made_bundle), str(bundle)], check=True, env={}, timeout=60
    )


def test_the_loader_of_this_release_runs_none_of_the_code_of_a_bundle(bundle, tmp_path, reseal):
    for name in ("predict.py", "bakeoff_model/__init__.py"):
        (bundle / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        reseal(bundle, name)

    assert inference.load(bundle).classes_.tolist() == ["no", "yes"]
    assert not (tmp_path / "ran").exists()
