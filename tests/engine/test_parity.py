"""What a worker reads from an upload and what predict.py reads from the same file are the same numbers."""

import json

import numpy as np
import pytest

from automl.engine.bundle import load_texts
from automl.engine.inference import Encoder
from automl.engine.preparation import open_prepared, prepare_table
from automl.engine.profiling import profile_table, table_profile_to_json
from automl.engine.reading import ReadLimits, convert_table
from tests.engine.tables import read_whole

WORDS = ["red fast car with wheels", "blue slow boat at sea", "green old bike", "a red and old boat, again"]


def table(
    path, *, flags=("true", "false"), delimiter=",", decimal=".", encoding="utf-8", date="2024-{:02}-{:02}"
):
    """Write a file with a column of every kind, some cells empty, and a target."""
    chance = np.random.default_rng(0)
    names = ["number", "whole", "level", "flag", "yes", "joined", "note", "same", "bought"]
    lines = [delimiter.join(names)]
    for row in range(300):
        cells = [
            f"{chance.normal():.4f}".replace(".", decimal),
            str(chance.integers(0, 900)),
            "" if row % 19 == 0 else str(chance.choice(["Köln", "Rome", "Oslo", " NA"])),
            flags[chance.integers(2)],
            str(chance.choice(["yes", "no"])),
            date.format(1 + row % 12, 1 + row % 28),
            f'"{WORDS[row % 4]} {row}"',
            "1",
            str(chance.choice(["a", "b"])),
        ]
        lines.append(delimiter.join(cells))
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"flags": ("TRUE", "FALSE")},
        {"flags": ("True", "False")},
        {"flags": ("1", "0")},
        {"delimiter": ";", "decimal": ",", "date": "{1:02}.{0:02}.2024", "encoding": "cp1252"},
        {"delimiter": "\t", "encoding": "utf-16", "date": "{:02}/{:02}/2024"},
    ],
    ids=["plain", "capitals", "words", "digits", "semicolons", "utf-16"],
)
def test_a_file_is_encoded_for_prediction_as_it_was_for_training(tmp_path, written):
    source = table(tmp_path / "table.csv", **written)
    stored = tmp_path / "table.arrow"
    read = convert_table(source, stored, filename=source.name, limits=ReadLimits(max_bytes=1 << 20))
    profile = table_profile_to_json(profile_table(stored, dialect=read.dialect, warnings=read.warnings))
    prepare_table(
        stored,
        tmp_path / "prepared",
        columns=profile["columns"],
        dialect=profile["dialect"],
        target="bought",
        task_type="auto",
        metric="auto",
        ignore_columns=[],
        seed=0,
    )
    trained = np.asarray(open_prepared(tmp_path / "prepared").X)
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    encoder = Encoder(schema, load_texts(tmp_path / "prepared" / "texts.skops"))

    predicted = encoder.transform(read_whole(source, schema))

    names = [feature["column"] for feature in schema["features"]]
    assert {"number", "level", "flag", "yes", "joined", "note"} <= set(names)
    wrong = ~np.isclose(predicted, trained, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert sorted({name for name, column in zip(names, wrong.T, strict=True) if column.any()}) == []
