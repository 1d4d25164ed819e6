"""Makes the golden bundles of a release: `python -m tests.golden.make`.

Once for a release, and never again for it: what is tested is that they stay good.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import automl
from tests.engine.tables import people
from tests.engine.test_bundle import packaged

FOLDER = Path(__file__).parent
LARGEST = 300_000
ROWS = 120
KINDS = {
    "binary": {
        "target": "bought",
        "metric": "roc_auc",
        "families": ["linear", "lightgbm"],
        "params": {"linear": {}, "lightgbm": {"num_leaves": 4, "learning_rate": 0.3}},
        "ignore_columns": ["note"],
    },
    "regression": {
        "target": "spent",
        "metric": "rmse",
        "families": ["xgboost"],
        "params": {"xgboost": {"max_depth": 2, "learning_rate": 0.3}},
    },
}


def make(kind: str, into: Path = FOLDER) -> Path:
    """Make one of them from a small table."""
    out = into / f"{kind}-{automl.__version__}.zip"
    if out.exists():
        raise SystemExit(f"{out} is there, and a golden bundle is never made anew.")
    with tempfile.TemporaryDirectory() as folder:
        packaged(Path(folder), frame=people(ROWS), **KINDS[kind])
        if (size := (Path(folder) / "bundle.zip").stat().st_size) > LARGEST:
            raise SystemExit(f"The bundle has {size:,} bytes, and {LARGEST:,} are allowed. Make it smaller.")
        shutil.copy(Path(folder) / "bundle.zip", out)
    return out


if __name__ == "__main__":
    for name in KINDS:
        sys.stdout.write(f"{make(name)}\n")
