"""Bundles that earlier releases made still verify: by the code that they bring, and by ours."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from automl.engine.inference import load, verify_bundle
from automl.engine.inference.verify import IDENTICAL, WITHIN
from tests.golden.make import LARGEST

BUNDLES = sorted((Path(__file__).parents[1] / "golden").glob("*.zip"))
assert BUNDLES

pytestmark = pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)


def unpacked(path, folder):
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def test_it_verifies_by_its_own_code(path, tmp_path):
    folder = unpacked(path, tmp_path)

    done = subprocess.run(
        [sys.executable, "-IB", "predict.py", "--verify"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={},
        timeout=60,
    )

    # Other versions than those it pins are no failure while it predicts the same; they are named.
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(("Verdict: identical.", "Verdict: within epsilon."))


def test_it_verifies_by_the_code_of_this_release(path, tmp_path):
    finding = verify_bundle(unpacked(path, tmp_path))
    assert finding.verdict in (IDENTICAL, WITHIN), finding


def test_it_predicts_rows_as_the_service_does(path, tmp_path):
    folder = unpacked(path, tmp_path)
    example = pd.DataFrame(**json.loads((folder / "input_example.json").read_text()))

    answer = load(folder).predict_rows(json.loads(example.to_json(orient="records")))

    assert len(answer["predictions"]) == len(example)


def test_it_is_small(path):
    assert path.stat().st_size <= LARGEST
