"""Graphs of CatBoost read categories as it does."""

from __future__ import annotations

import json

import pandas as pd
from catboost import CatBoostClassifier

from automl.engine.onnx.catboost import text_hash


def test_codes_are_hashed_as_catboost_hashes_them(tmp_path):
    frame = pd.DataFrame({"code": [-1, 0, 99, 1234, 4999] * 8})
    fitted = CatBoostClassifier(iterations=2, one_hot_max_size=9, allow_writing_files=False, silent=True)
    fitted.fit(frame, [0, 1, 0, 1, 1] * 8, cat_features=[0])
    fitted.save_model(str(tmp_path / "model.json"), format="json")
    stored = json.loads((tmp_path / "model.json").read_text())
    asked = {
        int(value) & 0xFFFFFFFF for value in stored["features_info"]["categorical_features"][0]["values"]
    }

    assert asked
    assert asked <= {text_hash(str(code)) & 0xFFFFFFFF for code in frame["code"]}
