"""The search as it goes on."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.urls import reverse

from automl.engine.learners import LEARNERS
from automl.experiments.services.by_hand import add_trial
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory
from tests.searches import long_search


def page_of(client, experiment):
    return client.get(reverse("pages:search", args=[experiment.id]))


def test_what_runs_says_why_and_what_it_has_to_reach(browser_client, alice):
    experiment = long_search(alice, 80)
    trial = TrialFactory(
        experiment=experiment,
        number=900,
        state="running",
        origin="search",
        fold_scores=[0.899],
        reason="A small step.",
    )
    add_trial(experiment, family="linear", hyperparameters={})
    answer = page_of(browser_client, experiment)
    first, second = answer.context["raced"]
    assert first["id"] == trial.id
    assert (first["folds"], first["all_folds"]) == (1, 5)
    assert first["mark"] is not None
    assert first["why"] == "A small step."
    assert second["why"] == "Asked for by hand."


def test_a_family_that_was_dropped_has_no_first_look_again(browser_client, alice):
    experiment = long_search(alice, 80)
    trial = {"experiment": experiment, "family": "extra_trees", "origin": "default"}
    TrialFactory(**trial, number=899, state="pruned", score=None, fold_scores=[0.6])
    for number, family in ((900, "extra_trees"), (901, "lightgbm"), (902, "hist_boosting")):
        TrialFactory(**{**trial, "family": family}, number=number, state="running", fold_scores=[0.9])
    again, other, new = (each["mark"] for each in page_of(browser_client, experiment).context["raced"])
    assert again == other
    assert new < other


def test_a_family_that_was_dropped_is_told_how_far_behind_it_was(browser_client, alice):
    experiment = long_search(alice, 80)
    dropped = {"experiment": experiment, "family": "extra_trees", "origin": "default", "state": "pruned"}
    TrialFactory(**dropped, number=899, score=None, fold_scores=[0.6])
    families = page_of(browser_client, experiment).context["families"]
    why = next(each["why"] for each in families if each["key"] == "extra_trees")
    assert "spreads behind the leader" in why


def test_a_search_of_so_many_trials_does_not_judge_by_the_latest(browser_client, alice):
    experiment = long_search(alice, 80)
    experiment.max_trials = 500
    experiment.save()
    for number in range(80, 88):
        best = {"family": "linear", "origin": "search", "state": "complete", "score": 0.99}
        TrialFactory(experiment=experiment, **best, number=number, fold_scores=[0.99] * 5)
    TrialFactory(experiment=experiment, number=88, origin="search", state="running", fold_scores=[0.95])
    (raced,) = page_of(browser_client, experiment).context["raced"]
    assert raced["ahead"]


def test_shares_add_up_and_each_has_its_reason(browser_client, alice):
    answer = page_of(browser_client, long_search(alice, 80))
    families = answer.context["families"]
    assert sum(each["had"] for each in families) == pytest.approx(1.0)
    assert sum(each["share"] for each in families) == pytest.approx(1.0)
    assert all(each["why"] for each in families)
    page = answer.content.decode()
    assert "spreads behind the leader" in page
    assert page.count('class="chart shares') == 2


def test_a_family_that_is_not_offered_any_more_keeps_its_share(browser_client, alice, monkeypatch):
    monkeypatch.setattr(LEARNERS["tabicl"], "_weights", {})
    experiment = long_search(alice, 80)
    TrialFactory(experiment=experiment, number=900, family="tabicl", state="complete", score=0.99)
    families = page_of(browser_client, experiment).context["families"]
    (found,) = [each for each in families if each["key"] == "tabicl"]
    assert (found["trials"], found["share"], found["why"]) == (1, 0.0, "It is not installed here.")
    assert sum(each["had"] for each in families) == pytest.approx(1.0)


def test_a_family_that_was_tried_by_hand_alone_says_so(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, families=["linear"])
    for number, (family, origin) in enumerate([("linear", "default"), ("lightgbm", "manual")]):
        TrialFactory(experiment=experiment, number=number, family=family, origin=origin, state="complete")
    families = page_of(browser_client, experiment).context["families"]
    assert {each["key"] for each in families} == {"linear", "lightgbm"}
    (why,) = [each["why"] for each in families if each["key"] == "lightgbm"]
    assert why == "It is not among the families of this search; you can try more of it."


def test_every_family_has_a_colour():
    tokens = (settings.BASE_DIR / "static/css/tokens.css").read_text()
    for family in [*LEARNERS, "ensemble"]:
        assert f"--family-{family}:" in tokens
        assert f".family-{family} {{ --series: var(--family-{family}); }}" in tokens


def test_what_learns_from_the_others_sets_no_mark_and_has_no_share(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    for number in range(8):
        TrialFactory(experiment=experiment, number=number, score=0.8 + number / 1000, fold_scores=[0.8] * 5)
    TrialFactory(experiment=experiment, number=8, state="running", fold_scores=[0.79], score=None)
    before = page_of(browser_client, experiment).context["raced"][0]["mark"]
    for number in range(9, 9 + 17):
        TrialFactory(
            experiment=experiment, number=number, family="stacked_trees", score=0.99, fold_scores=[0.99] * 5
        )

    context = page_of(browser_client, experiment).context

    assert before is not None and context["raced"][0]["mark"] == before
    stacked = next(each for each in context["families"] if each["key"] == "stacked_trees")
    assert stacked["share"] == 0.0 and stacked["trials"] == 17
    assert "learns from what the others predict" in stacked["why"]


def test_what_was_dropped_is_counted_by_fold(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    for number, folds in enumerate([1, 1, 2, 5, 5]):
        state = "pruned" if folds < 5 else "complete"
        TrialFactory(experiment=experiment, number=number, state=state, fold_scores=[0.8] * folds)
    context = page_of(browser_client, experiment).context
    assert [(each["dropped"], each["left"]) for each in context["rungs"]] == [(2, 3), (1, 2), (0, 2), (0, 2)]
    assert (context["entered"], context["finished"], context["dropped"]) == (5, 2, 3)
    assert [each["rung"] for each in context["latest"]] == [2, 1, 1]


def test_what_comes_next_is_said_while_it_goes_on(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    assert "Ready-made settings number 1 of" in page_of(browser_client, experiment).content.decode()
    ended = ExperimentFactory(owner=alice, state="complete")
    page = page_of(browser_client, ended).content.decode()
    assert "Next:" not in page
    assert "The search has ended" in page
    by_hand = ExperimentFactory(owner=alice, search="manual")
    assert "you add the trials" in page_of(browser_client, by_hand).content.decode()


def test_before_the_table_is_prepared_it_says_what_will_happen(browser_client, alice):
    page = page_of(browser_client, ExperimentFactory(owner=alice, state="pending")).content.decode()
    assert "The table is being prepared" in page


def test_a_fold_that_ends_is_news(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    trial = TrialFactory(experiment=experiment, state="running")
    stamp = page_of(browser_client, experiment).context["stamp"]
    address = reverse("pages:search_shown", args=[experiment.id])
    assert browser_client.get(address, {"version": stamp}).status_code == 204
    trial.fold_scores = [0.9]
    trial.save()
    assert browser_client.get(address, {"version": stamp}).status_code == 200


def test_one_query_for_each_table(browser_client, alice, django_assert_num_queries):
    experiment = long_search(alice, 60)
    EnsembleFactory(experiment=experiment)
    with django_assert_num_queries(5):  # session, user, experiment, trials, ensembles
        page_of(browser_client, experiment)
