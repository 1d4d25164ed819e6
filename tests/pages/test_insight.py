"""What mattered: the page, its lazy parts, and how long they take for a long search."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.urls import reverse

from automl.experiments.models import Experiment
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory
from tests.searches import long_search


def shown(client, experiment, name="insight_shown", **query):
    return client.get(reverse(f"pages:{name}", args=[experiment.id]), query)


def test_it_says_which_dial_decided_and_where_the_danger_is(browser_client, alice):
    experiment = long_search(alice, 300, families=("lightgbm", "xgboost"))
    answer = shown(browser_client, experiment, family="lightgbm")
    assert answer.context["importance"][0]["dial"].name == "learning_rate"
    page = answer.content.decode()
    assert "Which dials of LightGBM decided" in page
    assert re.search(r"Above 0\.\d+ it (usually|has always)", page)
    assert page.count('class="chart response"') == 8
    assert 'class="zone danger"' in page
    assert 'aria-current="page"><i class="swatch family-lightgbm"></i>LightGBM' in page


def test_without_a_family_it_shows_that_of_the_best_trial(browser_client, alice):
    experiment = long_search(alice, 60)
    TrialFactory(experiment=experiment, number=900, family="catboost", score=0.99, hyperparameters={})
    assert shown(browser_client, experiment).context["found"].family == "catboost"


def test_what_is_drawn_already_is_not_drawn_again(browser_client, alice, monkeypatch):
    experiment = long_search(alice, 60)
    stamp = shown(browser_client, experiment, family="linear").context["stamp"]
    monkeypatch.setattr("automl.pages.insight._drawn", None)
    assert shown(browser_client, experiment, family="linear", version=stamp).status_code == 204


def test_all_the_lines_of_the_best_are_in_their_table(browser_client, alice):
    experiment = long_search(alice, 100, families=("lightgbm",))
    context = shown(browser_client, experiment, family="lightgbm").context
    assert len(context["best"]) == len(context["parallel"][0].threads) > 10


def test_a_family_that_there_is_not_is_no_error(browser_client, alice):
    experiment = long_search(alice, 60)
    assert shown(browser_client, experiment, family="<script>").status_code == 200


def test_few_trials_are_told_how_many_more_are_needed(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    for _ in range(4):
        TrialFactory(experiment=experiment)
    page = shown(browser_client, experiment).content.decode()
    assert "6 more are needed" in page


@pytest.mark.parametrize("state", ["pending", "running", "complete"])
def test_an_empty_experiment_teaches_what_will_be_here(browser_client, alice, state):
    experiment = ExperimentFactory(owner=alice, state=state)
    assert "Nothing to learn from yet" in shown(browser_client, experiment).content.decode()
    assert browser_client.get(reverse("pages:insight", args=[experiment.id])).status_code == 200


def test_without_scripts_the_charts_are_one_link_away(browser_client, alice):
    experiment = long_search(alice, 60)
    frame = shown(browser_client, experiment, "insight").content.decode()
    assert '<noscript><p><a href="?drawn">' in frame
    assert "chart response" in shown(browser_client, experiment, "insight", drawn="").content.decode()


def test_one_query_for_each_table(browser_client, alice, django_assert_num_queries):
    experiment = long_search(alice, 60)
    cache.clear()
    with django_assert_num_queries(4):  # session, user, experiment, trials
        shown(browser_client, experiment)
    with django_assert_num_queries(3):  # what is known already is not read again
        shown(browser_client, experiment)


def test_a_new_trial_is_seen_once_the_answer_is_a_few_seconds_old(browser_client, alice):
    experiment = long_search(alice, 60)
    before = shown(browser_client, experiment, family="linear").context["found"].trials
    TrialFactory(experiment=experiment, number=901, family="linear", hyperparameters={})
    Experiment.objects.filter(id=experiment.id).update(version=1)
    assert shown(browser_client, experiment, family="linear").context["found"].trials == before
    Experiment.objects.filter(id=experiment.id).update(version=2, state="complete")
    assert shown(browser_client, experiment, family="linear").context["found"].trials == before + 1


def test_the_lazy_part_of_a_long_search_is_small(browser_client, alice):
    experiment = long_search(alice, 5_000)

    answer = shown(browser_client, experiment, family="lightgbm")

    assert len(answer.content) < 150_000


def test_tuning_that_paid_says_so_with_its_cost(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    for number in range(30):
        origin = "default" if number < 6 else "search"
        score = 0.90 if number < 6 else 0.95
        TrialFactory(
            experiment=experiment,
            number=number,
            origin=origin,
            score=score,
            fold_scores=[score + 0.001 * ((number + fold) % 3) for fold in range(5)],
            seconds=2.0,
        )
    EnsembleFactory(experiment=experiment, score=0.97, gain=-0.0123)
    page = shown(browser_client, experiment, "worth").content.decode()
    assert "<strong>Yes.</strong>" in page
    assert "48 s" in page
    assert "24 tuned" in page
    assert "24 more trials, about 48 s on the seats:" in page
    assert "0.0123 <span" in page and "+0.0123" not in page


def test_tuning_that_made_it_worse_gives_its_interval_without_signs(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    for number in range(30):
        is_default = number < 6
        score = 0.95 if is_default else 0.90
        TrialFactory(
            experiment=experiment,
            number=number,
            origin="default" if is_default else "search",
            score=score,
            fold_scores=[score + 0.001 * ((number + fold) % 3) for fold in range(5)],
        )
    page = shown(browser_client, experiment, "worth").content.decode()
    assert "<strong>No.</strong>" in page
    by, low, high = (
        float(each) for each in re.search(r"by ([.\d]+) .*\(([.\d]+) to ([.\d]+)\)", page).groups()
    )
    assert low <= by <= high


def test_what_was_not_tuned_says_that_it_is_early(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment)
    assert "Too early to say" in shown(browser_client, experiment, "worth").content.decode()


def test_the_card_comes_by_itself_on_the_experiments_page(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    page = browser_client.get(reverse("pages:experiment", args=[experiment.id])).content.decode()
    assert f'hx-get="{reverse("pages:worth", args=[experiment.id])}"' in page
