import json

import numpy as np
import pandas as pd
import pytest

from automl.engine.errors import UserError
from automl.engine.inference import Encoder, FittedModel, InputError, Member, Model
from automl.engine.preparation import Request, open_prepared, prepare
from tests.engine.tables import people, prepared, stories


def encoder_of(folder, texts=()):
    return Encoder(json.loads((folder / "prepared" / "schema.json").read_text()), texts)


def test_a_table_becomes_a_matrix_a_target_and_folds(tmp_path):
    meta = prepared(tmp_path, people(), "bought", ignore_columns=["note"])

    found = open_prepared(tmp_path / "prepared")

    assert (meta["task_type"], meta["metric"], meta["classes"]) == ("binary", "roc_auc", ["no", "yes"])
    names = [feature["name"] for feature in meta["features"]]
    assert names == [
        "age",
        "city",
        "joined: days",
        "joined: year",
        "joined: month",
        "joined: day",
        "joined: weekday",
    ]
    assert found.X.shape == (240, 7) and found.X.dtype == np.float32
    assert found.profile.categorical == (1,) and found.profile.cardinalities == (4,)
    assert found.folds.shape == (meta["repeats"], 240)
    assert isinstance(found.X, np.memmap)


def test_rows_that_come_twice_are_counted_by_what_is_learned_from(tmp_path):
    frame = people()
    twice = pd.concat([frame, frame.head(30)], ignore_index=True).assign(spent=np.arange(1.0, 271.0))

    meta = prepared(tmp_path, twice, "spent", ignore_columns=["note"])

    assert meta["profile"]["twins"] == pytest.approx(60 / 270)
    assert open_prepared(tmp_path / "prepared").profile.twins == meta["profile"]["twins"]


@pytest.mark.parametrize(
    ("target", "task_type", "metric"),
    [("bought", "binary", "roc_auc"), ("plan", "multiclass", "log_loss"), ("spent", "regression", "rmse")],
)
def test_the_task_is_found_out(tmp_path, target, task_type, metric):
    meta = prepared(tmp_path, people(), target)

    assert (meta["task_type"], meta["metric"]) == (task_type, metric)


def test_few_whole_numbers_are_classes_and_keep_their_type(tmp_path):
    frame = pd.DataFrame({"a": np.arange(90.0) / 7, "quality": np.arange(90) % 6 + 3})

    meta = prepared(tmp_path, frame, "quality")

    assert meta["task_type"] == "multiclass"
    assert meta["classes"] == [3, 4, 5, 6, 7, 8]


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    frame = people()
    frame.loc[:4, "bought"] = np.nan

    meta = prepared(tmp_path, frame, "bought")

    assert meta["profile"]["rows"] == 235
    assert "5 rows have no 'bought' and are left out." in meta["warnings"]


def test_each_fold_of_a_small_table_has_rows_of_the_rare_class(tmp_path):
    frame = people()
    frame["rare"] = np.where(np.arange(len(frame)) < 6, "yes", "no")

    meta = prepared(tmp_path, frame, "rare")
    found = open_prepared(tmp_path / "prepared")

    assert meta["folds"] == 6
    assert all(found.y[found.folds[0] == fold].sum() == 1 for fold in range(6))


@pytest.mark.parametrize(("rarest", "folds"), [(3, 10), (5, 5), (7, 7)])
def test_a_class_that_five_folds_can_not_share_does_not_take_folds_from_the_others(tmp_path, rarest, folds):
    frame = people()
    place = np.arange(len(frame))
    frame["kind"] = np.where(place < rarest, "rare", np.where(place % 2, "odd", "even"))
    assert prepared(tmp_path, frame, "kind")["folds"] == folds


def test_a_search_with_time_has_more_folds(tmp_path):
    frame = pd.concat([people()] * 10, ignore_index=True)
    assert prepared(tmp_path / "short", frame, "bought", time_budget=10.0)["folds"] == 5
    assert prepared(tmp_path / "long", frame, "bought", time_budget=60.0)["folds"] == 8


def test_a_class_with_one_row_is_kept_and_told(tmp_path):
    frame = people()
    frame.loc[0, "plan"] = "platinum"

    meta = prepared(tmp_path, frame, "plan")
    folds = open_prepared(tmp_path / "prepared").folds

    assert "platinum" in meta["classes"]
    assert (folds[:, 0] == -1).all() and (folds[:, 1:] >= 0).all()
    assert any("single row (platinum)" in warning for warning in meta["warnings"])


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda f: f.assign(bought="yes"), {}, "one value, 'yes'"),
        (lambda f: f.head(6), {}, "Only 6 rows"),
        (lambda f: f, {"task_type": "regression"}, "Regression needs numbers; 'bought' holds"),
        (lambda f: f, {"metric": "rmse"}, "'rmse' can't judge binary"),
        (lambda f: f, {"ignore_columns": ["age", "city", "joined", "note"]}, "No column is left"),
        (lambda f: f.assign(bought=f["plan"]), {"task_type": "binary"}, "3 values; binary needs two"),
    ],
)
def test_what_cannot_be_learnt_is_told_to_the_user(tmp_path, change, options, words):
    with pytest.raises(UserError, match=words):
        prepared(tmp_path, change(people()), "bought", **options)
    assert not (tmp_path / "prepared").exists()


def test_values_are_encoded_alike_however_they_are_written(tmp_path):
    frame = pd.DataFrame(
        {
            "code": [5, 7, 9] * 30,
            "size": [1.5, 2.5, 3.5] * 30,
            "flag": [True, False, True] * 30,
            "y": [0, 1, 1] * 30,
        }
    )
    columns = [
        {"name": "code", "kind": "categorical"},
        {"name": "size", "kind": "numeric"},
        {"name": "flag", "kind": "boolean"},
    ]
    prepare(Request(frame=frame, columns=columns, target="y"), tmp_path / "prepared")
    encode = encoder_of(tmp_path).transform

    ways = [
        pd.DataFrame({"code": [5], "size": [2.5], "flag": [True]}),
        pd.DataFrame({"code": [5.0], "size": ["2.5"], "flag": ["True"]}),
        pd.DataFrame({"code": ["5"], "size": [" 2.5 "], "flag": ["True"], "extra": [1]}),
    ]
    for way in ways[1:]:
        assert np.array_equal(encode(way), encode(ways[0]))


@pytest.mark.parametrize("trained", [[0, 1], [False, True]])
def test_truth_values_and_numbers_mean_the_same_alone_and_beside_others(tmp_path, trained):
    frame = pd.DataFrame({"flag": trained * 45, "size": [1.5, 2.5, 4.0] * 30, "y": ["a", "b", "b"] * 30})
    prepared(tmp_path, frame, "y")
    encode = encoder_of(tmp_path).transform
    no, yes = encode(frame[:2])[:, 0]
    cells = [True, np.True_, 1, 1.0, "1", " 1.0", "true", "TRUE", None, False, 0, "0", "false", 2, "maybe"]
    wanted = [yes] * 8 + [np.nan] + [no] * 4 + [np.nan] * 2

    alone = [encode(pd.DataFrame({"flag": [cell], "size": [cell]})) for cell in cells]
    together = encode(pd.DataFrame({"flag": cells, "size": cells}))

    assert np.array_equal(together[:, 0], wanted, equal_nan=True)
    assert np.array_equal(together, np.concatenate(alone), equal_nan=True)
    assert together[[0, 1, 9], 1].tolist() == [1.0, 1.0, 0.0]


class FirstColumn:
    """An estimator that says what it is told first."""

    def predict(self, X):
        return X[:, 0]


def test_a_long_whole_number_is_the_same_level_beside_a_row_that_lacks_it(tmp_path):
    codes = ["1234567890123456789", "1234567890123456790", "7"] * 30
    frame = pd.DataFrame({"code": codes, "y": np.arange(90) / 7})
    columns = [{"name": "code", "kind": "categorical"}]
    prepare(Request(frame=frame, columns=columns, target="y"), tmp_path / "prepared")
    model = Model(encoder_of(tmp_path), [Member(1.0, [FittedModel(None, FirstColumn())])])
    rows = [{"code": int(code)} for code in codes[:3]]

    together = model.predict_rows([*rows, {"code": None}])["predictions"]

    assert together[:3] == [model.predict_rows([row])["predictions"][0] for row in rows] == [0, 1, 2]
    assert np.isnan(together[3])


def test_a_frame_may_have_columns_of_several_types_as_pandas_reads_long_files(tmp_path):
    mixed = pd.Series([1, 2.0, "1", "x", None, True], dtype=object)
    frame = pd.DataFrame({"mixed": [*mixed] * 15, "size": [0.5, 1.5, 4.0] * 30, "y": ["a", "b"] * 45})

    prepared(tmp_path, frame, "y")

    (column,) = [each for each in encoder_of(tmp_path).schema["columns"] if each["name"] == "mixed"]
    assert (column["kind"], column["missing"]) == ("categorical", 15)
    assert {"1", "2", "x"} <= set(column["categories"])
    X = open_prepared(tmp_path / "prepared").X
    assert np.array_equal(X, encoder_of(tmp_path).transform(frame), equal_nan=True)
    assert np.isnan(X[:, 0]).tolist() == [False, False, False, False, True, False] * 15


def test_a_truth_value_is_another_level_than_a_number_beside_it(tmp_path):
    frame = pd.DataFrame({"rooms": ["1", "2", "3"] * 30, "size": [0.5, 1.5] * 45, "y": ["a", "b"] * 45})
    prepared(tmp_path, frame, "y")
    encode = encoder_of(tmp_path).transform

    found = [encode(pd.DataFrame({"rooms": pd.Series(each, dtype=object), "size": 1.0}))[:, 0]
             for each in ([True, 1, 2], [1, True, 2])]  # fmt: skip

    assert np.equal(found, 3).tolist() == [[True, False, False], [False, True, False]]
    assert found[0][1] == found[1][0]


def test_a_number_beyond_any_range_in_a_category_is_answered(tmp_path):
    frame = pd.DataFrame({"code": [f"{n}.5 kmpl" for n in range(90)], "y": ["a", "b"] * 45})
    prepared(tmp_path, frame, "y")

    found = encoder_of(tmp_path).transform(pd.DataFrame({"code": pd.Series([10**400, 7], dtype=object)}))

    assert np.isfinite(found[:, 1]).all()


def test_durations_of_a_frame_are_the_numbers_that_they_are_in_a_file(tmp_path):
    frame = pd.DataFrame({"took": pd.to_timedelta([1.5, 2, None] * 30, unit="s"), "y": ["a", "b"] * 45})
    prepared(tmp_path, frame, "y")

    found = encoder_of(tmp_path).transform(frame[:3]).ravel()

    assert np.array_equal(found, np.float32([1.5e6, 2e6, np.nan]), equal_nan=True)


def test_unseen_levels_are_none_of_those_known_and_missing_marks_are_missing(tmp_path):
    prepared(tmp_path, people(), "bought", ignore_columns=["note", "joined"])
    encoder = encoder_of(tmp_path)
    cells = pd.DataFrame({"age": ["?", "30", " "], "city": ["Atlantis", "Oslo", "?"]})

    found = encoder.transform(cells)

    assert np.isnan(found).tolist() == [[True, False], [False, False], [True, True]]
    assert found[0, 1] == len(encoder.lookup("city")) > found[1, 1]
    # To experiments of before they were missing.
    for column in encoder.schema["columns"]:
        column.pop("tells_unknown", None)
    assert np.isnan(encoder.transform(cells)).tolist() == [[True, True], [False, False], [True, True]]


def test_what_is_neither_of_two_levels_of_a_flag_is_missing(tmp_path):
    frame = pd.DataFrame({"member": ["yes", "no"] * 60, "kind": ["1", "0"] * 60, "y": [0, 1, 1] * 40})
    columns = [{"name": "member", "kind": "boolean"}, {"name": "kind", "kind": "categorical"}]
    prepare(Request(frame=frame, columns=columns, target="y"), tmp_path / "prepared")

    found = encoder_of(tmp_path).transform(pd.DataFrame({"member": ["perhaps"], "kind": ["perhaps"]}))

    assert np.isnan(found[0, 0])
    # A category of two levels that may be written in many ways has two codes all the same.
    assert found[0, 1] == 2


def test_missing_columns_are_named(tmp_path):
    prepared(tmp_path, people(), "bought")

    with pytest.raises(InputError, match=r"lacks 2 of the 4 columns that the model needs: 'city', 'joined'"):
        encoder_of(tmp_path).transform(people()[["age", "note"]])


def test_a_word_that_reads_as_missing_can_be_a_level(tmp_path):
    frame = pd.DataFrame({"roof": ["None", "tiles", "straw"] * 30, "y": [0, 1, 1] * 30})
    prepared(tmp_path, frame, "y")

    found = encoder_of(tmp_path).transform(pd.DataFrame({"roof": [np.nan, "None", "tiles"]}))

    assert found[0] == found[1] != found[2]
    assert not np.isnan(found).any()


def test_decimal_commas_are_read_as_training_read_them(tmp_path):
    frame = pd.DataFrame({"size": np.arange(60) / 4, "y": np.arange(60) % 2})
    prepared(tmp_path, frame, "y", dialect={"decimal": ","})

    cells = ["1,25", "1.234,5", "0.125", "-1.234", 1.125, 2, True, 10**400]
    found = encoder_of(tmp_path).transform(pd.DataFrame({"size": cells})).ravel().tolist()

    assert found[:-1] == [1.25, 1234.5, 0.125, -1234, 1.125, 2, 1]
    assert np.isnan(found[-1])


def test_preparing_again_replaces_the_folder_whole(tmp_path):
    prepared(tmp_path, people(), "bought")
    prepared(tmp_path, people(120), "bought")

    assert open_prepared(tmp_path / "prepared").X.shape[0] == 120
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


@pytest.mark.parametrize(("words", "components"), [(60, 16), (800, 50)])
def test_where_words_are_many_there_are_more_components_of_which_trees_see_the_first(
    tmp_path, words, components
):
    prepared(tmp_path, stories(900, words), "bought")
    found = open_prepared(tmp_path / "prepared")

    names = [feature["name"] for feature in found.meta["features"]]
    assert [names[place] for place in found.profile.words] == [
        f"story: words {number + 1}" for number in range(components)
    ]
    assert found.profile.minor == found.profile.words[16:]


def test_the_first_components_have_the_scale_of_other_numbers_and_the_others_less(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    found = open_prepared(tmp_path / "prepared")

    variances = np.asarray(found.X)[:, list(found.profile.words)].var(axis=0)
    assert variances[:16].mean() == pytest.approx(1.0, rel=1e-3)
    assert variances[16:].mean() < variances[:16].mean()


def test_the_more_rows_and_texts_the_fewer_components(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.engine.preparation.TEXT_CELLS", 900 * 40)
    prepared(tmp_path / "one", stories(900, 800), "bought")
    prepared(tmp_path / "two", stories(900, 800).assign(other=stories(900, 800)["story"]), "bought")

    assert len(open_prepared(tmp_path / "one" / "prepared").profile.words) == 40
    assert len(open_prepared(tmp_path / "two" / "prepared").profile.words) == 2 * 20


def test_texts_that_are_all_alike_are_not_made_large(tmp_path):
    # Of so many words their spread is rounding, and not nothing.
    notes = [f"Customer {number} was called by our staff about this account" for number in range(100, 400)]
    prepared(tmp_path, stories(300).assign(story=notes), "bought")
    found = open_prepared(tmp_path / "prepared")

    assert found.profile.words
    assert np.abs(np.asarray(found.X)[:, list(found.profile.words)]).max() < 2.0


@pytest.mark.parametrize(
    ("target", "labels", "words"),
    [
        ("bought", ["yes"] + ["no"] * 239, "'yes' has one"),
        ("plan", [f"plan {number}" for number in range(240)], "240 classes"),
    ],
)
def test_a_target_by_which_no_model_can_be_judged_is_refused(tmp_path, target, labels, words):
    with pytest.raises(UserError, match=words):
        prepared(tmp_path, people().assign(**{target: labels}), target)


ODD = [
    ["1,234.5", " 7 ", "1 000", "x", None, "1e400", "-0", ""],
    [1.5, np.nan, 2.0, 3.0, 1e300, -1.0, np.inf, 0.0],
    [True, "3", 4, None, 2**70, "True", False, 1e20],
    [pd.Timedelta(seconds=3), pd.NaT, *[pd.Timedelta(days=1)] * 6],
    [1, 2, 3, 4, 5, 6, 7, 2**60],
    [True, False] * 4,
    ["5", "6", "1_000", "0x10", "nan", "inf", "\xa08\xa0", "1\xa0234"],
]


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("dtype", [None, object])
def test_many_columns_of_numbers_are_read_as_each_alone(monkeypatch, decimal, dtype):
    frame = pd.DataFrame({f"n{place}": pd.Series(cells, dtype=dtype) for place, cells in enumerate(ODD)})
    frame["word"] = "no number"
    columns = [{"name": name, "kind": "numeric"} for name in frame if name != "word"]
    encoder = Encoder({"columns": columns, "features": [], "missing_values": [], "decimal": decimal})
    alone = np.column_stack([encoder.numbers(frame[column["name"]]) for column in columns])

    monkeypatch.setattr("automl.engine.inference.encoder.MANY_COLUMNS", 2)
    np.testing.assert_array_equal(encoder.transform(frame), alone)
    assert encoder.transform(frame.head(0)).shape == (0, len(columns))
    # None of them is text.
    plain = frame[["n3", "n4", "n5"]].infer_objects()
    found = Encoder({**encoder.schema, "columns": columns[3:6]}).transform(plain)
    np.testing.assert_array_equal(found, alone[:, 3:6])
    assert np.isfinite(alone).sum() > 20
