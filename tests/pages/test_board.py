"""The leaderboard of a page: its order, its filters, its window, and the rows that are open."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automl.experiments import selectors
from automl.experiments.boards import read_board
from automl.experiments.models import Trial
from tests.factories import EnsembleFactory, ExperimentFactory, TrainedModelFactory, TrialFactory


@pytest.fixture
def experiment(alice):
    return ExperimentFactory(owner=alice, time_budget=86_400.0)


@pytest.fixture
def show(browser_client, experiment):
    """The board as it is asked for, and the page."""

    def get(query: str = ""):
        answer = browser_client.get(reverse("pages:experiment", args=[experiment.id]) + query)
        assert answer.status_code == 200
        return answer.context["board"], answer.content.decode()

    return get


def names(board) -> list[str]:
    return [row["name"] for row in board["rows"]]


def test_ties_share_a_rank_and_the_ensemble_leads(show, experiment):
    TrialFactory(experiment=experiment, score=0.91, tied_with_best=True)
    TrialFactory(experiment=experiment, score=0.85, family="linear")
    TrialFactory(experiment=experiment, score=0.85, family="catboost")
    EnsembleFactory(experiment=experiment, score=0.92)
    board, page = show()
    assert [(row["rank"], row["shared"]) for row in board["rows"]] == [
        (1, False),
        (2, False),
        (3, True),
        (3, True),
    ]
    assert page.count(">tied</span>") == 1
    assert page.count('class="ensemble"') == 1


@pytest.mark.parametrize(("value", "is_said"), [(0.90, True), (0.92, False)])
def test_an_ensemble_that_leads_with_a_worse_figure_says_why(show, experiment, value, is_said):
    TrialFactory(experiment=experiment, score=0.91)
    EnsembleFactory(experiment=experiment, score=0.92, value=value)
    _, page = show()
    assert ("judged on rows that its weights did not see" in page) is is_said


def test_every_row_says_where_it_comes_from(show, experiment):
    for origin in ("default", "search", "sweep", "manual"):
        TrialFactory(experiment=experiment, origin=origin)
    _, page = show()
    assert re.findall(r'<span class="tag origin-(\w+)">([^<]+)', page) == [
        ("default", "default"),
        ("search", "search"),
        ("sweep", "sweep"),
        ("manual", "by you"),
    ]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("rank", "LightGBM #0"),
        ("-rank", "CatBoost #2"),
        ("score", "CatBoost #2"),
        ("-score", "LightGBM #0"),
        ("model", "CatBoost #2"),
        ("-fit", "Linear model #1"),
        ("predict", "CatBoost #2"),
        ("-size", "LightGBM #0"),
        ("origin", "Linear model #1"),
        ("-interval", "LightGBM #0"),
        ("nonsense", "LightGBM #0"),
    ],
)
def test_any_column_sets_the_order(show, experiment, sort, first):
    TrialFactory(experiment=experiment, score=0.9, fit_time=2.0, predict_time=0.3, size=900, origin="search")
    TrialFactory(experiment=experiment, score=0.8, fit_time=9.0, predict_time=0.2, size=500, family="linear")
    TrialFactory(
        experiment=experiment,
        score=0.7,
        fit_time=1.0,
        predict_time=0.1,
        size=100,
        family="catboost",
        origin="manual",
    )
    board, page = show(f"?sort={sort}")
    assert names(board)[0] == first
    assert page.count('aria-sort="none"') == 7


def test_what_a_column_lacks_comes_last_in_both_directions(show, experiment):
    TrialFactory(experiment=experiment, score=0.9)
    TrialFactory(experiment=experiment, state="running", family="linear")
    for sort in ("fit", "-fit"):
        assert names(show(f"?state=all&sort={sort}")[0])[-1] == "Linear model #1"


def test_filters_leave_out_what_does_not_fit(show, experiment):
    TrialFactory(experiment=experiment, score=0.9)
    TrialFactory(experiment=experiment, score=0.8, family="linear", origin="manual")
    TrialFactory(experiment=experiment, state="failed", family="catboost")
    assert names(show("?family=linear")[0]) == ["Linear model #1"]
    assert names(show("?origin=manual")[0]) == ["Linear model #1"]
    assert names(show("?q=LIGHT")[0]) == ["LightGBM #0"]
    assert names(show("?q=by+you")[0]) == ["Linear model #1"]
    assert names(show("?state=failed")[0]) == ["CatBoost #2"]
    assert len(show("?state=all")[0]["rows"]) == 3
    _, page = show("?q=nothing+like+it")
    assert "No trial fits these filters" in page


def test_an_open_row_shows_what_was_set_and_each_fold(show, experiment):
    trial = TrialFactory(experiment=experiment, diagnosis="Still improving.", learning_curve={"x": [1]})
    other = TrialFactory(experiment=experiment, score=0.5)
    _, closed = show()
    assert "learning rate" not in closed
    assert "Has a learning curve" in closed
    board, page = show(f"?toggle={trial.id}")
    assert "learning rate" in page
    assert "Still improving." in page
    assert f'name="entry" value="{trial.number}"' in page
    assert board["query"].opened == (trial.id,)
    both = show(f"?open={trial.id}&toggle={other.id}")[0]["query"].opened
    assert both == (trial.id, other.id)
    assert show(f"?open={trial.id}&toggle={trial.id}&open=x")[0]["query"].opened == ()


def test_a_window_is_shown_and_more_on_demand(show, experiment):
    Trial.objects.bulk_create(many(experiment, 230))
    board, page = show()
    assert len(board["rows"]) == 100
    assert "Show 100 more" in page
    board, page = show("?shown=200")
    assert len(board["rows"]) == 200
    assert "Show 25 more" in page
    assert len(show("?all")[0]["rows"]) == 225
    assert len(show("?shown=x")[0]["rows"]) == 100


def many(experiment, count: int) -> list[Trial]:
    curve = {"unit": "rounds", "x": list(range(100)), "train": [0.5] * 100, "valid": [0.6] * 100}
    families = ("lightgbm", "linear", "catboost", "random_forest")
    return [
        Trial(
            experiment=experiment,
            number=number,
            family=families[number % 4],
            origin="search",
            hyperparameters={"learning_rate": 0.1, "num_leaves": number},
            state="failed" if number % 50 == 9 else "complete",
            error="memory" if number % 50 == 9 else "",
            score=None if number % 50 == 9 else (number * 7919 % 5003) / 5003,
            value=None if number % 50 == 9 else (number * 7919 % 5003) / 5003,
            value_low=0.4,
            value_high=0.6,
            fold_scores=[0.5] * 5,
            fit_time=1.0,
            predict_time=0.01,
            size=10_000,
            learning_curve=curve if number % 4 == 0 else None,
            ended_after=float(number),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [300, 5000])
def test_a_large_search_is_one_query_a_table(browser_client, experiment, count):
    Trial.objects.bulk_create(many(experiment, count), batch_size=500)
    address = reverse("pages:experiment", args=[experiment.id]) + "?sort=-fit&q=l"
    browser_client.get(address)
    with CaptureQueriesContext(connection) as captured:
        answer = browser_client.get(address)
    tables = [re.findall(r'FROM "(\w+)"', query["sql"])[0] for query in captured.captured_queries]
    assert len(tables) == len(set(tables)), tables
    assert len(answer.content) < 150_000


def test_a_poll_tells_one_order_from_another(browser_client, experiment):
    TrialFactory(experiment=experiment)
    address = reverse("pages:experiment_board", args=[experiment.id])
    plain = re.findall(r'name="version" value="([^"]+)"', browser_client.get(address).content.decode())[0]
    assert browser_client.get(address, {"version": plain}).status_code == 204
    asked = {"version": plain, "sort": "-fit"}
    sorted_board = browser_client.get(address, asked)
    assert sorted_board.status_code == 200
    asked["version"] = re.findall(r'name="version" value="([^"]+)"', sorted_board.content.decode())[0]
    assert browser_client.get(address, asked).status_code == 204


def test_the_board_agrees_with_the_leaderboard_of_the_api(experiment):
    for number in range(12):
        TrialFactory(experiment=experiment, score=round(0.9 - number % 5 / 100, 3), family="neighbors")
    TrialFactory(experiment=experiment, score=0.7)
    EnsembleFactory(experiment=experiment, score=0.89)
    board = read_board(experiment)
    rows = selectors.leaderboard(experiment)
    assert [(board.rank_of(entry), entry.name) for entry in board.ranked] == [(r.rank, r.name) for r in rows]
    best = selectors.best_row(experiment)
    assert best is not None
    assert board.answer is not None
    assert board.answer.name == best.name
    counts = selectors.trial_counts(experiment)
    assert {name: board.counts[name] for name in counts} == counts
    ensembles = selectors.list_ensembles([experiment.id])
    assert board.history == selectors.courses([experiment.id], ensembles)[experiment.id].history


def test_a_packaged_answer_is_found(experiment):
    model = TrainedModelFactory(trial=TrialFactory(experiment=experiment), is_best=True)
    board = read_board(experiment)
    assert board.best_model == model.id


def test_what_the_answer_beats_is_said(show, experiment):
    TrialFactory(experiment=experiment, score=0.93, origin="search")
    TrialFactory(experiment=experiment, score=0.91)
    TrialFactory(experiment=experiment, score=0.5, family="dummy")
    _, page = show()
    assert '0.9100 <span class="quiet">best default' in page
    assert '0.5000 <span class="quiet">baseline' in page


def test_compare_is_offered_once_there_is_such_a_page(show, experiment, monkeypatch):
    TrialFactory(experiment=experiment)
    monkeypatch.setattr("automl.pages.boards.address_of", lambda name, id: f"/{name}/")
    _, page = show()
    assert 'form="compare"' in page
    assert "/pages:compare/" in page


def test_the_hyperparameters_of_closed_rows_stay_in_the_database(experiment):
    trial = TrialFactory(experiment=experiment)
    TrialFactory(experiment=experiment)
    opened, closed = read_board(experiment, opened=[trial.id]).entries
    assert opened.hyperparameters == trial.hyperparameters
    assert opened.fold_scores == trial.fold_scores
    assert closed.hyperparameters_text is None
    assert json.loads(opened.hyperparameters_text or "{}") == trial.hyperparameters


def test_a_curve_that_warns_is_marked_in_its_row(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, diagnosis="Overfits from round 40. After it validation loses 3 %.")
    TrialFactory(experiment=experiment, diagnosis="Converged. Validation was best at round 9 of 12.")
    page = browser_client.get(reverse("pages:experiment", args=[experiment.id])).content.decode()
    assert page.count('class="tag finding"') == 1
    assert "overfits from round 40</span>" in page


def test_what_learns_from_the_others_is_not_the_default_that_is_beaten(show, experiment):
    TrialFactory(experiment=experiment, family="dummy", score=0.5)
    TrialFactory(experiment=experiment, family="lightgbm", score=0.9)
    TrialFactory(experiment=experiment, family="stacked_trees", score=0.95)
    TrialFactory(experiment=experiment, family="xgboost", origin="search", score=0.96)

    _, page = show()

    assert '0.9000 <span class="quiet">best default' in page
