import numpy as np
import pandas as pd
import pytest

from automl.engine.evaluation import evaluate
from automl.engine.importance import name_columns
from tests.engine.tables import go, prepared


def shop(rows: int = 300) -> pd.DataFrame:
    """The month of `joined` decides most of `price`; `street` has many levels, `noise` decides nothing."""
    chance = np.random.default_rng(0)
    joined = pd.Timestamp("2020-01-01") + pd.to_timedelta(chance.integers(0, 1000, rows), unit="D")
    kind = chance.choice(["new", "old"], rows)
    street = chance.integers(0, 60, rows)
    noise = chance.normal(size=rows)
    noise[::9] = np.nan
    price = 5.0 * joined.month + 8.0 * (kind == "new") + chance.normal(0, 0.5, rows)
    return pd.DataFrame(
        {
            "noise": noise,
            "street": [f"street {number}" for number in street],
            "kind": kind,
            "joined": joined.strftime("%Y-%m-%d"),
            "price": price,
        }
    )


@pytest.mark.parametrize(
    ("family", "key"), [("lightgbm", "importance"), ("random_forest", "importance"), ("linear", "largest")]
)
def test_what_decides_comes_first_under_the_name_it_has_in_the_table(tmp_path, family, key):
    prepared(tmp_path, shop(), "price")
    args = {
        "prepared": str(tmp_path / "prepared"),
        "family": family,
        "params": {},
        "seed": 1,
        "metric": "rmse",
        "threads": 1,
        "out": str(tmp_path / "trial"),
    }

    found = evaluate(args, go)["learned"][key]

    assert [name for name, _ in found][:2] == ["joined", "kind"]
    assert {name for name, _ in found} <= {"noise", "street", "kind", "joined"}
    assert [weight for _, weight in found] == sorted((weight for _, weight in found), reverse=True)


def test_what_is_not_said_by_position_stays_as_it_is():
    features = [{"column": "age"}, {"column": "joined"}, {"column": "joined"}]
    learned = {"trees": 3, "importance": [[2, 0.5], [0, 0.3], [1, 0.2]]}

    assert name_columns(learned, None, features) == {
        "trees": 3,
        "importance": [["joined", 0.7], ["age", 0.3]],
    }
    assert name_columns({"rows": 7}, None, features) == {"rows": 7}
