"""Files to predict that are written otherwise than the training table: read all the same, or refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from automl.engine.inference import Encoder, FittedModel, InputError, Member, Model
from tests.engine.tables import read_whole


def schema_of(*names, decimal=".", delimiter=",", **columns):
    told = [{"name": name, "kind": "numeric"} for name in names]
    told += [{"name": name, **column} for name, column in columns.items()]
    features = [{"kind": "number"} for _ in told]
    return {
        "columns": told,
        "features": features,
        "missing_values": ["", "NA"],
        "decimal": decimal,
        "dialect": {"delimiter": delimiter, "decimal": decimal},
    }


@pytest.fixture
def read(tmp_path):
    """The matrix that a model of some schema gets of a text."""

    def encoded(text, schema):
        (tmp_path / "rows.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Encoder(schema).transform(read_whole(tmp_path / "rows.csv", schema)).tolist()

    return encoded


POINTS = schema_of("x", "y")
COMMAS = schema_of("x", "y", decimal=",", delimiter=";")


def test_a_number_that_is_too_large_once_it_is_scaled_is_named():
    narrow = np.float32([[1, 5], [1.001, 6], [1.002, 9]])
    scaler = StandardScaler().fit(narrow)
    fitted = FittedModel(scaler, Ridge().fit(scaler.transform(narrow), [1, 2, 3]))
    model = Model(Encoder({**POINTS, "task_type": "regression"}), [Member(1.0, [fitted])])

    with pytest.raises(InputError, match=r"too large.*'9\.96921e36', in the column 'x'"):
        model.predict(pd.DataFrame({"y": ["1e9", "3"], "x": ["1", "9.96921e36"]}))
    with pytest.raises(ValueError, match="NaN"):  # which is no matter of a table
        model.predict(pd.DataFrame({"y": ["1e9"], "x": [""]}))
