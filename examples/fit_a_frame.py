"""AutoML on a DataFrame, without the service.

    python examples/fit_a_frame.py [SECONDS]

Makes a table of customers, searches for the best model of who leaves, and saves it as a ZIP that
predicts in any Python.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from automl.engine import AutoMLClassifier


def customers(rows: int = 1500, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Make a table with numbers, words, dates and gaps, and who has left."""
    random = np.random.default_rng(seed)
    months = random.integers(1, 72, rows)
    frame = pd.DataFrame(
        {
            "months": months,
            "monthly_fee": random.normal(65, 25, rows).clip(15).round(2),
            "contract": random.choice(["monthly", "one year", "two years"], rows, p=[0.55, 0.25, 0.2]),
            "payment": random.choice(["card", "transfer", "cheque", None], rows),
            "joined": pd.Timestamp("2025-06-01") - pd.to_timedelta(months * 30, unit="D"),
        }
    )
    drawn = (frame["contract"] == "monthly") * 1.6 + frame["monthly_fee"] / 40 - frame["months"] / 20
    left = (drawn + random.logistic(size=rows) > 1.5).map({True: "left", False: "stayed"})
    return frame.mask(random.random(frame.shape) < 0.02), left


def main(seconds: float = 15.0) -> None:
    """Fit, show the leaderboard, judge on rows held back, save."""
    frame, left = customers()
    train, test, y_train, y_test = train_test_split(frame, left, random_state=0)

    automl = AutoMLClassifier(time_budget=seconds, random_state=0).fit(train, y_train)

    print(
        automl.leaderboard_[["rank", "name", "score", "score_low", "score_high"]]
        .head(8)
        .to_string(index=False)
    )
    chance = automl.predict_proba(test)[:, list(automl.classes_).index("left")]
    print(f"ROC AUC on {len(test)} rows held back: {roc_auc_score(y_test == 'left', chance):.3f}")

    with tempfile.TemporaryDirectory() as folder:
        path = automl.save(Path(folder) / "customers.zip")
        size = path.stat().st_size / 1000
        print(f"The bundle has {size:.0f} kB; unpack it and run: python predict.py in.csv out.csv")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
