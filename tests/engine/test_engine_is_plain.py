from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUEUE_AND_WEB = {"django", "rest_framework", "celery", "redis", "kombu", "workers"}
HEAVY = {"sklearn", "pandas", "scipy", "lightgbm", "xgboost", "catboost", "optuna", "skops", "pyarrow"}


def loaded_after(code: str) -> set[str]:
    """The packages that a fresh process has loaded after running some code."""
    program = (
        f"{textwrap.dedent(code)}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_fitting_a_frame_needs_no_web_framework_and_no_queue():
    loaded = loaded_after("""
        import numpy as np
        from automl.engine import AutoMLClassifier
        X = np.random.default_rng(0).normal(size=(60, 2))
        found = AutoMLClassifier(max_trials=2, families=["dummy", "linear"]).fit(X, X[:, 0] > 0)
        assert found.score(X, X[:, 0] > 0) > 0.8
    """)
    assert "automl" in loaded
    assert not loaded & QUEUE_AND_WEB


LIGHT = [
    "trial",
    "schema",
    "errors",
    "space",
    "study",
    "budget",
    "samplers",
    "pruners",
    "learners",
    "metrics",
    "evidence",
    "dial_importance",
    "response",
    "diagnosis",
    "worth",
    "reasons",
]


@pytest.mark.parametrize("module", [*LIGHT, "isolation", "serving", "jobs"])
def test_what_the_web_process_imports_is_light(module):
    loaded = loaded_after(f"import automl.engine.{module}")
    assert "automl" in loaded
    assert not loaded & (HEAVY | QUEUE_AND_WEB)


def test_naming_the_package_loads_nothing_but_its_names_are_listed():
    loaded = loaded_after("import automl.engine; assert 'AutoMLClassifier' in dir(automl.engine)")
    assert not loaded & (HEAVY | {"numpy"})


def test_an_unknown_name_is_an_attribute_error():
    import automl.engine

    with pytest.raises(AttributeError, match="has no attribute 'AutoML'"):
        _ = automl.engine.AutoML
