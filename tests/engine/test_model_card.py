"""The card of a model: the same figures in Markdown and HTML, and no name from the data becomes markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from automl.engine.diagnostics.classification import confusion_matrix
from automl.engine.metrics import METRICS
from automl.engine.model_card import figures
from automl.engine.model_card.evidence import Evidence, Importance, Worth, constant_value
from automl.engine.model_card.figures import rightness
from automl.engine.model_card.licences import licence_of
from automl.engine.model_card.words import gained, limits, number, share, verdict
from tests.engine.tables import people
from tests.engine.test_bundle import packaged

VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = '<script>alert("1")</script>|`x`'


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], set(), [], []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """Folders of bundles of every task, with a hostile name of a column, of a level and of a class."""
    frame = people().rename(columns={"city": HOSTILE})
    frame["plan"] = frame["plan"].replace("gold", "<b>gold</b>")
    frame[HOSTILE] = frame[HOSTILE].replace("Rome", "<img src=x>")
    targets = {"bought": "roc_auc", "plan": "log_loss", "spent": "rmse"}
    return {
        target: packaged(tmp_path_factory.mktemp(target), target, metric, ["linear"], frame)[1]
        for target, metric in targets.items()
    }


@pytest.mark.parametrize("target", ["bought", "plan", "spent"])
def test_a_card_is_a_page_that_loads_and_runs_nothing(cards, target):
    page = read(cards[target] / "model_card.html")

    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "b", "form", "a"})
    assert not [name for name, _ in page.attributes if name in ("src", "href") or name.startswith("on")]
    text = (cards[target] / "model_card.html").read_text()
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("target", ["bought", "plan", "spent"])
def test_names_are_shown_as_they_are_and_never_become_markup(cards, target):
    page = read(cards[target] / "model_card.html")
    markdown = (cards[target] / "model_card.md").read_text()

    assert HOSTILE in "".join(page.words)
    outside = re.sub(r"(`+).*?\1", "", markdown)
    assert "<script>" not in outside
    assert "<b>" not in outside
    # A bar would end the cell of a table.
    assert "</script>\\|`x`" in markdown


@pytest.mark.parametrize("target", ["bought", "plan", "spent"])
def test_both_forms_hold_the_same_figures(cards, target):
    page = read(cards[target] / "model_card.html")
    markdown = (cards[target] / "model_card.md").read_text()

    def figures(text):
        return set(re.findall(r"\d+\.\d{2,}", text))

    shown = figures(re.sub(r"<svg.*?</svg>", "", (cards[target] / "model_card.html").read_text(), flags=re.S))
    assert figures(" ".join(page.words)) >= shown & figures(markdown)
    assert figures(markdown) - shown == set()
    assert len(figures(markdown)) > 20


def test_a_card_says_what_a_manager_and_an_engineer_ask(cards):
    words = " ".join(read(cards["bought"] / "model_card.html").words)

    for asked in (
        "It names the right class of",
        "a coin would half of the time",
        "The same guess for every row comes to 0.5",
        "It must not decide about people alone",
        "What each column is worth",
        "Whether probabilities can be believed",
        "How sure a prediction is",
        "Asked to be 90\u00a0% sure",
        "predict.py --level 0.9",
        "python predict.py --verify",
        "train.py",
        "BSD-3-Clause",
        "a warning",
    ):
        assert asked in words


def test_a_number_is_shown_beside_the_truth_without_a_row_of_the_table(cards):
    text = (cards["spent"] / "model_card.html").read_text()

    assert "Half of its predictions of" in text
    assert "8 of 10 are in" in text
    assert text.count('class="dot"') == 10


def test_the_constant_guess_is_the_best_answer_that_looks_at_nothing():
    y = np.array([0, 0, 0, 1])

    assert constant_value(METRICS["roc_auc"], y, 2) == 0.5
    assert constant_value(METRICS["accuracy"], y, 2) == 0.75
    assert constant_value(METRICS["log_loss"], y, 2) == pytest.approx(0.5623, abs=1e-4)
    numbers = np.array([1.0, 2.0, 9.0])
    assert constant_value(METRICS["mae"], numbers, 0) == pytest.approx(8 / 3)
    assert constant_value(METRICS["r2"], numbers, 0) == 0.0
    assert constant_value(METRICS["rmse"], numbers, 0) == pytest.approx(numbers.std())


def test_how_far_a_model_goes_from_guessing_to_perfect_is_told_in_words():
    assert gained("roc_auc", 0.75, 0.5) == 0.5
    assert gained("rmse", 5.0, 10.0) == 0.75
    assert gained("rmse", 12.0, 10.0) == 0.0
    assert verdict("roc_auc", 0.51, 0.5) == "hardly better than guessing"
    assert verdict("roc_auc", 0.99, 0.5) == "far better than guessing"
    assert verdict("rmse", 1.0, None) == ""


def test_a_model_that_may_be_no_better_than_guessing_is_warned_of():
    evidence = Evidence(rows=5_000, constant=0.5, importance=Importance([], rows=0))

    def warned(low):
        told = limits("roc_auc", {"value": 0.6, "low": low, "high": 0.7}, evidence)
        return any("no better than guessing" in str(text) for text in told)

    assert warned(0.49)
    assert not warned(0.52)


def test_a_class_that_is_seldom_found_and_a_column_that_may_be_the_answer_are_warned_of():
    rows = [{"class": "rare", "rows": 10, "recall": 0.2}, {"class": "common", "rows": 90, "recall": 0.9}]
    worth = [Worth("leak", 0.4, 0.1), Worth("a", 0.01, 0.1), Worth("b", 0.0, 0.1)]
    evidence = Evidence(
        rows=100,
        constant=0.5,
        importance=Importance(worth, rows=100),
        confusion={"by_class": rows},
    )

    told = " ".join(map(str, limits("roc_auc", {"value": 0.9, "low": 0.8, "high": 0.95}, evidence)))

    assert "'rare'" in told
    assert "'common'" not in told
    assert "'leak'" in told
    assert "few rows (100)" in told


def test_figures_have_the_digits_that_matter():
    assert [number(value) for value in (0.123456, 12345.6, 0.0, 1e-9, None)] == [
        "0.1235", "12,346", "0", "1.00e-09", "not known"]  # fmt: skip
    assert [share(value) for value in (0.876, 0.9991, 1.0, 0.002)] == [
        "88\u00a0%",
        "99.9\u00a0%",
        "100\u00a0%",
        "0.2\u00a0%",
    ]


def test_a_licence_is_an_expression_where_the_package_has_one():
    assert licence_of("scikit-learn") == "BSD-3-Clause"
    assert licence_of("no-such-package-here") == "unknown: not installed here"


def test_of_many_classes_the_most_frequent_mistakes_are_told_and_no_matrix():
    chance = np.random.default_rng(0)
    y = chance.integers(0, 26, 400)
    found = confusion_matrix(y, chance.dirichlet(np.ones(26), 400), list("abcdefghijklmnopqrstuvwxyz"))
    evidence = Evidence(rows=400, constant=None, importance=Importance([], rows=0), confusion=found)

    table, _, mistakes = rightness(evidence)

    assert len(table.rows) == 20
    assert len(mistakes.items) == 5
    assert " was called " in str(mistakes.items[0])


def test_ticks_are_round_numbers_around_all_points():
    ticks = figures._ticks([(3.1, 3.0, 1.2, 7.7), (9.4, 9.0, 8.0, 9.9)])

    assert [text for _, text in ticks] == ["0", "2.5", "5", "7.5", "10"]
    constant = figures._ticks([(2.0, 2.0, 2.0, 2.0)])
    assert constant[0][0] <= 2.0 <= constant[-1][0]
