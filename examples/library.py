"""The engine as a plain library: no service, no database, no queue."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from automl.engine import AutoMLRegressor

SECONDS = float(os.environ.get("DEMO_SECONDS", "30"))


def main() -> None:
    table = pd.read_csv(Path(__file__).with_name("wine_quality_white.csv"))
    train, test = train_test_split(table, test_size=0.2, random_state=0)

    search = AutoMLRegressor(time_budget=SECONDS, metric="mae", random_state=0)
    search.fit(train.drop(columns="quality"), train["quality"])

    board = search.leaderboard_[["rank", "name", "score", "score_low", "score_high"]]
    print(board.head(10).to_string(index=False))
    error = (search.predict(test.drop(columns="quality")) - test["quality"]).abs().mean()
    print(f"On {len(test)} held-out rows the predictions are off by {error:.3f} on average.")
    print(f"The model is in {search.save('wine.zip')}")


if __name__ == "__main__":
    main()
