"""Words of texts one by one: their places, their weights, and who takes them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from automl.engine.bundle import load_texts
from automl.engine.evaluation import evaluate, read_member
from automl.engine.inference import Encoder, FittedModel, Member, Model, as_frame
from automl.engine.inference import model as models_module
from automl.engine.inference import onnx_model as onnx_module
from automl.engine.inference.onnx_model import MOST_WORDS, OnnxModel, narrow_parts, session_of, split_texts
from automl.engine.inference.word_weights import WithWords
from automl.engine.inference.words import places_of_words, with_lengths
from automl.engine.learners import LEARNERS, families_for, get_learner
from automl.engine.onnx.export import export
from automl.engine.preparation import open_prepared
from automl.engine.stacking import stacked_profile
from automl.engine.trial import TaskType
from tests.engine.tables import go, prepared, stories

UNKNOWN, NONE = 5, -1
# Two texts of up to six words each, behind a column of numbers.
TEXTS = [(1, 6, UNKNOWN), (7, 6, UNKNOWN)]


def rows(seed=0, count=40):
    chance = np.random.default_rng(seed)
    places = chance.integers(0, UNKNOWN + 1, (count, 12)).astype(np.float32)
    for text in (places[:, :6], places[:, 6:]):
        text[np.arange(6) >= chance.integers(0, 7, count)[:, None]] = NONE
    return np.column_stack([chance.normal(size=count).astype(np.float32), places])


class First(StandardScaler):
    """Takes the first column alone."""

    def fit_transform(self, X, y=None):
        return super().fit_transform(X[:, :1], y)

    def transform(self, X):
        return super().transform(X[:, :1])


def test_behind_a_number_that_stands_alone_is_its_length():
    told = with_lengths("call 08712-402050 or 4.50 in 2024, code87077 mp3")
    assert told == "call 08712 00000-402050 000000 or 4.50 00 in 2024 0000, code87077 mp3"


def test_words_stand_in_their_order_as_far_as_there_is_room():
    vectorizer = TfidfVectorizer().fit(["apple berry cherry"])

    found = places_of_words(["Cherry? unheard of APPLE", "", "berry " * 9], vectorizer, 4)

    assert found.tolist() == [[2, 3, 3, 0], [-1, -1, -1, -1], [1, 1, 1, 1]]


def test_words_are_weighed_as_scikit_learn_weighs_them():
    X, others = rows(), rows(1)
    words = WithWords(First(), TEXTS, 0)

    found = [words.fit_transform(X).toarray(), words.transform(others).toarray()]

    for start, block in ((1, slice(1, 6)), (7, slice(6, 11))):
        counts = [
            (part[:, start : start + 6, None] == np.arange(UNKNOWN)).sum(axis=1) for part in (X, others)
        ]
        weigh = TfidfTransformer(sublinear_tf=True).fit(counts[0])
        for part, count in zip(found, counts, strict=True):
            assert part[:, block] == pytest.approx(WithWords.SCALE * weigh.transform(count).toarray())
    assert found[0][:, 0] == pytest.approx(First().fit_transform(X)[:, 0])


def test_pairs_are_neighbours_of_which_one_is_known():
    def pairs_of(*places):
        X = np.full((3, 5), NONE, dtype=np.float32)
        X[0, 1 : 1 + len(places)] = places
        X[1:, 1:3] = [[0, 1], [0, 1]]
        return WithWords(First(), [(1, 4, UNKNOWN)], 1 << 15).fit_transform(X)[:1, 1 + UNKNOWN :]

    assert (pairs_of(0, 1) != pairs_of(1, 0)).nnz
    assert pairs_of(0, 1, 2).nnz == 2
    assert pairs_of(0, UNKNOWN).nnz == pairs_of(UNKNOWN, 0).nnz == 1
    assert pairs_of(UNKNOWN, UNKNOWN).nnz == 0
    assert pairs_of(0).nnz == 0
    # One pair is in all rows, and here twice; the other one in this row alone.
    idf = np.array([1.0, 1.0 + np.log(4 / 2)])
    weights = np.array([2.0, 1.0]) * idf / np.sqrt(idf**2 @ [2.0, 1.0])
    assert sorted(pairs_of(0, 1, 0, 1).data) == pytest.approx(sorted(WithWords.SCALE * weights))


def test_rows_are_weighed_alike_however_many_there_are(monkeypatch):
    words = WithWords(First(), TEXTS, 64)
    whole = words.fit_transform(rows())
    assert (abs(words.transform(rows()) - whole) > 1e-12).nnz == 0

    monkeypatch.setattr(WithWords, "BLOCK_CELLS", 20)

    assert (abs(words.transform(rows()) - whole) > 1e-12).nnz == 0


def test_where_words_are_many_they_are_told_one_by_one(tmp_path):
    frame = stories(900, 800)
    prepared(tmp_path, frame, "bought")
    found = open_prepared(tmp_path / "prepared")

    ((first, slots, known),) = found.profile.texts
    names = [feature["name"] for feature in found.meta["features"]]
    assert names[first : first + slots] == [f"story: place {number}" for number in range(1, 13)]
    assert found.profile.places == tuple(range(first, first + slots))
    (vectorizer, _) = (step for _, step in load_texts(tmp_path / "prepared" / "texts.skops")[0].steps)
    assert known == len(vectorizer.vocabulary_)
    told = np.asarray(found.X)[1, list(found.profile.places)].astype(int)
    spelled = [*vectorizer.get_feature_names_out(), "?"]
    assert [spelled[place] for place in told] == [
        word if word in vectorizer.vocabulary_ else "?" for word in frame["story"][1].split()
    ]
    assert found.X.shape[1] == found.profile.columns + len(found.profile.places)


def test_where_words_are_few_or_there_is_no_room_none_is_told_alone(tmp_path, monkeypatch):
    prepared(tmp_path / "few", stories(900, 100), "bought")
    monkeypatch.setattr("automl.engine.preparation.PLACES_CELLS", 900 * 10)
    prepared(tmp_path / "less", stories(900, 800), "bought")
    two = stories(900, 800).assign(other=stories(900, 800)["story"])
    prepared(tmp_path / "two", two, "bought")

    slots = [
        [slots for _, slots, _ in open_prepared(tmp_path / name / "prepared").profile.texts]
        for name in ("few", "less", "two")
    ]
    assert slots == [[], [10], []]


@pytest.mark.parametrize("family", [key for key in families_for() if key != "tabicl"])
def test_only_the_linear_model_takes_words_one_by_one(tmp_path, family):
    prepared(tmp_path, stories(900, 800), "bought")
    found = open_prepared(tmp_path / "prepared")
    X, y, data = np.array(found.X), np.asarray(found.y), found.profile
    if get_learner(family).stacks:
        X = np.column_stack([X, np.random.default_rng(0).normal(size=(len(X), 2)).astype(np.float32)])
        data = stacked_profile(data, 2)

    def predicted(X):
        learner = LEARNERS[family]
        params = learner.first(data)
        preprocess = learner.preprocess(data, params)
        matrix = X if preprocess is None else preprocess.fit_transform(X, y)
        if learner.layout == "frame":
            matrix = as_frame(X, data.categorical)
        estimator = learner.build(data, params, seed=0, threads=1)
        fit = learner.fit(estimator, matrix, y, matrix, y, data=data, deadline=None)
        return FittedModel(preprocess, fit.estimator, learner.layout).predict(
            X, classes=2, categorical=data.categorical
        )

    blind = X.copy()
    blind[:, list(data.places)] = NONE

    assert np.array_equal(predicted(X), predicted(blind)) == (family != "linear")


def test_pairs_tell_what_words_do_not(tmp_path):
    chance = np.random.default_rng(0)
    said = chance.choice([f"word{number}" for number in range(600)], (1_200, 12))
    order = chance.random(1_200) < 0.5
    said[:, 4], said[:, 5] = np.where(order, "good", "not"), np.where(order, "not", "good")
    frame = pd.DataFrame({"story": [" ".join(each) for each in said], "bought": np.where(order, "yes", "no")})
    prepared(tmp_path, frame, "bought")
    found = open_prepared(tmp_path / "prepared")
    X, y, test = np.asarray(found.X), np.asarray(found.y), np.arange(1_200) % 4 == 0

    def judged(texts):
        params = LEARNERS["linear"].space(found.profile).validate({"texts": texts})
        words = LEARNERS["linear"].preprocess(found.profile, params)
        matrix = words.fit_transform(X[~test], y[~test])
        estimator = LEARNERS["linear"].build(found.profile, params, seed=0, threads=1).fit(matrix, y[~test])
        return roc_auc_score(y[test], estimator.predict_proba(words.transform(X[test]))[:, 1])

    assert judged("pairs") > 0.95
    assert judged("words") < 0.6


def test_with_many_classes_pairs_share_weights_and_then_words_have_none(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    found = open_prepared(tmp_path / "prepared").profile
    linear = LEARNERS["linear"]

    def buckets(classes):
        data = replace(found, task_type=TaskType.MULTICLASS, classes=classes)
        words = linear.preprocess(data, linear.first(data))
        return words.buckets if isinstance(words, WithWords) else None

    assert [buckets(classes) for classes in (3, 20, 80, 100)] == [1 << 15, 1 << 14, 1 << 12, None]


def test_who_weighs_words_needs_no_components(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    data = open_prepared(tmp_path / "prepared").profile
    linear = LEARNERS["linear"]

    steps = {
        texts: linear.preprocess(data, linear.space(data).validate({"texts": texts}))
        for texts in ("components", "words")
    }

    assert "words" in {name for name, _, _ in steps["components"].transformers}
    assert "words" not in {name for name, _, _ in steps["words"].columns.transformers}


def test_the_more_texts_the_fewer_weights_each_has(tmp_path):
    many = {f"story {number}": stories(900, 800)["story"] for number in range(10)}
    prepared(tmp_path, stories(900, 800).assign(**many), "bought")
    data = open_prepared(tmp_path / "prepared").profile
    linear = LEARNERS["linear"]

    words = linear.preprocess(data, linear.first(data))

    assert len(words.texts) == 11
    assert words.buckets == 1 << 15
    data = replace(data, task_type=TaskType.MULTICLASS, classes=5)
    assert linear.preprocess(data, linear.first(data)).buckets == 1 << 12


def test_pairs_cost_more_than_words_and_more_words_more(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    data = open_prepared(tmp_path / "prepared").profile
    linear = LEARNERS["linear"]

    def cost(data, texts):
        return linear.cost(data, linear.space(data).validate({"texts": texts}))

    ((first, slots, known),) = data.texts
    longer = replace(data, texts=((first, 10 * slots, known),))
    assert cost(data, "words").seconds < cost(data, "pairs").seconds < cost(longer, "pairs").seconds
    assert cost(data, "words").bytes < cost(data, "pairs").bytes < cost(longer, "pairs").bytes


def test_one_text_of_a_thousand_does_not_make_all_rows_wide(tmp_path):
    frame = stories(900, 800)
    frame.loc[7, "story"] = " ".join(frame["story"][10:30].dropna())
    prepared(tmp_path, frame, "bought")

    ((_, slots, _),) = open_prepared(tmp_path / "prepared").profile.texts
    assert slots == 12


def test_what_a_text_weighs_is_the_sum_of_its_words(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    found = open_prepared(tmp_path / "prepared")
    args = {"prepared": str(tmp_path / "prepared"), "family": "linear", "params": {}, "seed": 1}
    told = evaluate({**args, "metric": "roc_auc", "out": str(tmp_path / "trial")}, go)

    model = read_member(tmp_path / "trial").models[0]
    inputs = model.preprocess.transform(np.asarray(found.X)[found.folds[0] != 0])
    weights = np.abs(model.estimator.coef_[0]) * StandardScaler(with_mean=False).fit(inputs).scale_
    names = model.preprocess.get_feature_names_out([f["column"] for f in found.meta["features"]])
    story = sum(weight for name, weight in zip(names, weights, strict=True) if name.endswith("story"))
    assert (weights > 0).sum() > 1_000
    assert dict(told["learned"]["largest"])["story"] == pytest.approx(story, rel=1e-3)


def test_a_model_of_many_weights_is_not_asked_to_set_them_to_zero(tmp_path):
    prepared(tmp_path, stories(900, 800), "bought")
    data = open_prepared(tmp_path / "prepared").profile
    linear = LEARNERS["linear"]

    params = linear.space(data).validate({"penalty": "elasticnet"})

    assert params.get("texts") is None
    assert not isinstance(linear.preprocess(data, params), WithWords)


@pytest.mark.parametrize("target", ["bought", "city", "age"])
@pytest.mark.parametrize("texts", ["words", "pairs"])
def test_a_graph_weighs_words_as_the_model_does(tmp_path, monkeypatch, target, texts):
    monkeypatch.setattr("automl.engine.preparation.MOST_PLACES", 10)
    frame = stories(600, 700).assign(other=stories(600, 500)["story"].sample(frac=1, random_state=0).values)
    frame.loc[::5, "story"] = "57 " + frame["story"]
    prepared(tmp_path, frame, target)
    found = open_prepared(tmp_path / "prepared")
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    encoder = Encoder(schema, load_texts(tmp_path / "prepared" / "texts.skops"))
    X, y, data = np.asarray(found.X), np.asarray(found.y), found.profile
    assert len(data.texts) == 2
    linear = LEARNERS["linear"]
    params = linear.space(data).validate({"texts": texts})
    models = []
    for fold in range(2):
        part = found.folds[0] != fold
        words = linear.preprocess(data, params)
        matrix = words.fit_transform(X[part], y[part])
        estimator = linear.build(data, params, seed=0, threads=1)
        models.append(FittedModel(words, estimator.fit(matrix, y[part])))
    model = Model(encoder, [Member(1.0, models)])
    graph = OnnxModel(schema, session_of(export(model).whole()))
    asked = pd.DataFrame(
        {
            "age": [30, None, 50, 41, 22],
            "story": [
                "good word1 word2",
                "",
                "word7 " * 30,
                "never heard, 12 34567 words",
                "word1 never word1 good",
            ],
            "other": ["word3", "good " * 4 + "word5 word6", None, "word9 word8 word9 word8", "?"],
            "city": ["Oslo", "Rome", "Paris", None, "Oslo"],
        }
    )
    asked = pd.concat([asked, frame.drop(columns="bought")[:50]], ignore_index=True)

    expected = model.predict_raw(asked)
    assert graph.predict_raw(asked) == pytest.approx(expected, rel=1e-9, abs=1e-9)

    for row in range(5):
        alone = asked.iloc[[row]]
        assert graph.predict_raw(alone) == pytest.approx(expected[[row]], rel=1e-9, abs=1e-9)

    # Rows are wide, so that fewer of them are in memory at once.
    monkeypatch.setattr(models_module, "WIDE_CHUNK_ROWS", 7)
    monkeypatch.setattr(onnx_module, "WORDS_CHUNK_ROWS", 7)
    monkeypatch.setattr(onnx_module, "LEAST_CHUNK_ROWS", 1)
    most = []
    monkeypatch.setattr(
        onnx_module, "split_texts", lambda texts, **how: most.append(len(texts)) or split_texts(texts, **how)
    )
    assert model.predict_raw(asked) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert graph.predict_raw(asked) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert max(most) <= 7

    # Those that are long do not make the others wide.
    padded = []
    monkeypatch.setattr(onnx_module, "WORDS_CHUNK_ROWS", 1_000)
    monkeypatch.setattr(onnx_module, "MOST_WORDS", 60)
    monkeypatch.setattr(
        onnx_module,
        "split_texts",
        lambda texts, **how: padded.append(split_texts(texts, **how)) or padded[-1],
    )
    assert graph.predict_raw(asked) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert max(cells.size for cells in padded if len(cells) > 1) <= 60 + 2 * 60


def test_one_long_text_does_not_widen_the_rows_beside_it():
    short, long = ["a word or two"] * 999, "word " * 50_000
    assert [len(part) for part in narrow_parts([short])] == [999]

    parts = narrow_parts([[*short[:500], long, *short[500:]], ["", *short]])

    assert [part.tolist() for part in parts] == [[0, *range(1, 500), *range(501, 1000)], [500]]
    many = narrow_parts([[long] * 100])
    assert sorted(np.concatenate(many)) == list(range(100))
    assert max(map(len, many)) * 50_000 <= MOST_WORDS
    assert len(narrow_parts([[]])) == 1


def test_a_table_that_an_earlier_release_prepared_is_read_as_then(tmp_path):
    frame = stories(900, 800).assign(story=lambda found: found["story"].fillna("") + " 2024")
    prepared(tmp_path, frame, "bought")
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    texts = load_texts(tmp_path / "prepared" / "texts.skops")
    for column in schema["columns"]:
        column.pop("places", None)

    now = np.asarray(open_prepared(tmp_path / "prepared").X)
    then = Encoder(schema, texts).transform(frame)

    story = next(place for place, each in enumerate(schema["features"]) if each["column"] == "story")
    end = story + texts[0][-1].n_components
    assert then[:, story:end] == pytest.approx(texts[0].transform(frame["story"]), abs=1e-6)
    assert not np.allclose(then[:, story:end], now[:, story:end], atol=1e-3)
    assert np.array_equal(then[:, end : end + 2], now[:, end : end + 2])
    ((_, slots, _),) = open_prepared(tmp_path / "prepared").profile.texts
    assert slots == 12 + 2
    assert then.shape[1] == now.shape[1] - slots
