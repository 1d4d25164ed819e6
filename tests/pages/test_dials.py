"""Tuning by hand: the panel, what it predicts, what becomes of it."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from automl.engine.learners import get_learner
from automl.experiments.models import Trial
from automl.experiments.records import profile_of
from tests.factories import ExperimentFactory, TrialFactory
from tests.pages.test_markup import check

FAMILY = "lightgbm"


def space_of(experiment, family=FAMILY):
    return get_learner(family).space(profile_of(experiment))


def tried(experiment, count, *, family=FAMILY, state="complete"):
    """Trials all over the space of a family, better towards more leaves."""
    import numpy as np

    rng, space = np.random.default_rng(0), space_of(experiment, family)
    rows = []
    for number in range(count):
        params = space.sample(rng)
        score = 0.8 + 0.1 * space.dimensions["num_leaves"].position(params["num_leaves"])
        rows.append(
            Trial(
                experiment=experiment,
                number=number,
                family=family,
                origin="search",
                hyperparameters=params,
                state=state,
                score=score,
                value=score,
                fold_scores=[score] * 5,
                seconds=1.0,
            )
        )
    return Trial.objects.bulk_create(rows)


def get(client, experiment, name="dials", **query):
    return client.get(reverse(f"pages:{name}", args=[experiment.id]), query)


def post(client, experiment, **fields):
    return client.post(reverse("pages:dials", args=[experiment.id]), {"family": FAMILY, **fields})


def test_families_are_offered_with_their_best_so_far(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, score=0.9123)
    answer = get(browser_client, experiment)
    text = answer.content.decode()
    check(answer)
    assert "LightGBM" in text and "0.9123" in text and "not tried yet" in text
    assert 'href="?family=xgboost"' in text and "Baseline" not in text


def test_the_panel_tells_of_every_dial(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    for family in ("lightgbm", "linear", "neural_network", "neighbors"):
        answer = get(browser_client, experiment, family=family)
        check(answer)
        text = answer.content.decode()
        for name in space_of(experiment, family).dimensions:
            assert f'name="{name}"' in text
        assert "Too low" in text and "Too high" in text


def test_it_starts_from_defaults_from_the_best_or_from_any_trial(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    low = TrialFactory(experiment=experiment, hyperparameters={"num_leaves": 12}, score=0.7)
    best = TrialFactory(experiment=experiment, hyperparameters={"num_leaves": 99}, score=0.9)

    def leaves(**query):
        text = get(browser_client, experiment, **query).content.decode()
        return re.search(r'name="num_leaves" value="(\d+)"', text)[1]

    assert leaves(family=FAMILY) == "31"
    assert leaves(trial=best.id) == "99"
    assert leaves(trial=low.id) == "12"
    assert leaves(trial=low.id, num_leaves="40") == "40"
    assert f"?trial={best.id}" in get(browser_client, experiment, family=FAMILY).content.decode()


def test_a_trial_of_another_experiment_is_no_start(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    assert get(browser_client, experiment, trial=TrialFactory().id).status_code == 404
    assert get(browser_client, experiment, trial="nothing").status_code == 404


def test_the_page_of_a_trial_leads_to_its_dials(browser_client, alice):
    trial = TrialFactory(experiment__owner=alice)
    page = browser_client.get(reverse("pages:trial", args=[trial.id])).content.decode()
    assert f"{reverse('pages:dials', args=[trial.experiment_id])}?trial={trial.id}" in page


def test_what_is_predicted_follows_the_dials(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    tried(experiment, 60)

    def predicted(leaves):
        answer = get(browser_client, experiment, "dials_preview", family=FAMILY, num_leaves=leaves)
        text = answer.content.decode()
        assert answer.headers["Cache-Control"] == "no-store"
        return float(re.search(r"<strong>([\d.]+)</strong>", text)[1]), text

    few, many = predicted(6), predicted(200)
    assert few[0] < many[0]
    assert "Four results of five" in many[1] and "Takes about" in many[1]
    assert "Unlikely to beat" in few[1]


def test_with_few_trials_it_says_that_nothing_can_be_predicted(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    tried(experiment, 3)
    text = get(browser_client, experiment, "dials_preview", family=FAMILY).content.decode()
    assert "Nothing can be predicted yet: this family has too few results" in text
    assert "Takes about" in text


def test_what_was_tried_already_is_named(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    trial = TrialFactory(experiment=experiment, hyperparameters=space_of(experiment).default())
    text = get(browser_client, experiment, "dials_preview", family=FAMILY).content.decode()
    assert "Tried already as" in text and str(trial.id) in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "running", "spent": 58.0}, "The search ends in"),
        ({"state": "complete"}, "goes on for this trial alone"),
        ({"state": "paused"}, "when resumed"),
    ],
)
def test_what_stands_in_the_way_is_told_before(browser_client, alice, fields, words):
    experiment = ExperimentFactory(owner=alice, **fields)
    TrialFactory(experiment=experiment, seconds=20.0, hyperparameters=space_of(experiment).default())
    assert words in get(browser_client, experiment, "dials_preview", family=FAMILY).content.decode()


def test_a_value_that_can_not_be_is_told_at_its_dial(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    answer = post(browser_client, experiment, num_leaves="3000", learning_rate="fast")
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "learning_rate is &#x27;fast&#x27;, which is not a number" in text
    assert 'value="3000"' in text
    assert experiment.trials.count() == 0
    assert (
        "not a number"
        in get(browser_client, experiment, "dials_preview", family=FAMILY, learning_rate="x").content.decode()
    )


def test_training_it_leads_to_its_place_among_yours(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    tried(experiment, 20)
    answer = post(browser_client, experiment, num_leaves="77", extra_trees="true")
    trial = experiment.trials.get(origin="manual")
    assert answer.headers["Location"].endswith(f"/dials/?trial={trial.id}#mine")
    assert (trial.hyperparameters["num_leaves"], trial.hyperparameters["extra_trees"]) == (77, True)
    text = browser_client.get(answer.headers["Location"]).content.decode()
    assert 'name="num_leaves" value="77"' in text and f'id="mine-{trial.id}"' in text


def test_predicting_again_without_javascript_trains_nothing(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    answer = post(browser_client, experiment, num_leaves="77", preview="1")
    assert answer.status_code == 200
    assert 'name="num_leaves" value="77"' in answer.content.decode()
    assert experiment.trials.count() == 0


def test_a_result_stands_beside_its_prediction(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    told = {"value": 0.9, "low": 0.88, "high": 0.91, "seconds": 2.0}
    for score, prediction in ((0.9, told), (0.95, told), (0.8, told), (0.8, {**told, "low": None})):
        TrialFactory(experiment=experiment, origin="manual", score=score, prediction=prediction)
    answer = get(browser_client, experiment, "dials_mine")
    verdicts = re.findall(r"<td>(as|better than|worse than) expected</td>", answer.content.decode())
    assert verdicts == ["worse than", "better than", "as"]


def test_each_of_yours_is_one_press_from_being_compared_with_the_best(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    best = TrialFactory(experiment=experiment, number=1, score=0.95)
    mine = TrialFactory(experiment=experiment, number=2, origin="manual", score=0.9)
    TrialFactory(experiment=experiment, number=3, origin="manual", state="running")
    compare = reverse("pages:compare", args=[experiment.id])

    def links():
        page = get(browser_client, experiment, "dials_mine").content.decode()
        return re.findall(
            rf'href="{compare}\?trial=([^&]+)&amp;trial=([^"]+)">.*?</span> with the (.*?)</a>', page
        )

    assert links() == [(str(mine.id), str(best.id), "best")]
    Trial.objects.filter(id=mine.id).update(score=0.99)
    assert links() == [(str(mine.id), str(best.id), "next best")]
    best.delete()
    assert links() == []


def test_yours_are_sent_only_when_one_has_moved(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    trial = TrialFactory(experiment=experiment, origin="manual", state="waiting")

    def asked(stamp):
        return get(browser_client, experiment, "dials_mine", version=stamp)

    stamp = re.search(r'name="version" value="([^"]+)"', asked("").content.decode())[1]
    assert asked(stamp).status_code == 204
    Trial.objects.filter(id=trial.id).update(state="running")
    assert asked(stamp).status_code == 200
    experiment.state = "complete"
    experiment.save()
    assert asked(stamp).status_code == 286


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "running", "prepared": None}, "being prepared"),
        ({"state": "failed", "prepared": None}, "Start a new one"),
    ],
)
def test_before_the_table_is_prepared_there_are_no_dials_yet(browser_client, alice, fields, words):
    experiment = ExperimentFactory(owner=alice, **fields)
    assert words in get(browser_client, experiment).content.decode()
    assert get(browser_client, experiment, "dials_preview", family=FAMILY).status_code == 404


def test_what_the_service_refuses_is_a_page_that_says_why(browser_client, alice, settings):
    experiment = ExperimentFactory(owner=alice, state="stopping")
    answer = post(browser_client, experiment)
    assert answer.status_code == 409
    assert "about to end" in answer.content.decode()
    settings.MAX_TRIALS = 0
    answer = post(browser_client, ExperimentFactory(owner=alice))
    assert answer.status_code == 422
    assert "has room for 0 more" in answer.content.decode()


def test_nobody_else_sees_or_trains(charlies, alice):
    experiment = ExperimentFactory(owner=alice)
    for name in ("dials", "dials_preview", "dials_mine"):
        assert get(charlies, experiment, name, family=FAMILY).status_code == 404
    assert post(charlies, experiment).status_code == 404
    assert experiment.trials.count() == 0


def test_pages_ask_the_database_little_however_many_trials_there_are(
    browser_client, alice, django_assert_max_num_queries
):
    experiment = ExperimentFactory(owner=alice)
    tried(experiment, 300)
    with django_assert_max_num_queries(6):
        get(browser_client, experiment, family=FAMILY)
    with django_assert_max_num_queries(5):
        get(browser_client, experiment, "dials_preview", family=FAMILY)
    with django_assert_max_num_queries(4):
        get(browser_client, experiment, "dials_mine")


def test_without_javascript_nothing_is_loaded_anew_under_what_is_typed(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, origin="manual", state="running")
    assert 'http-equiv="refresh"' not in get(browser_client, experiment, family=FAMILY).content.decode()


@pytest.mark.parametrize(
    ("state", "own_fault", "words"),
    [
        ("failed", True, "which failed; with these settings it would again"),
        ("failed", False, "which failed; it may fare better this time"),
        ("pruned", False, "which was stopped early"),
        ("running", False, "The same is under way as"),
    ],
)
def test_what_was_tried_without_a_score_says_what_came_of_it(browser_client, alice, state, own_fault, words):
    experiment = ExperimentFactory(owner=alice)
    params = space_of(experiment).default()
    TrialFactory(
        experiment=experiment, family=FAMILY, state=state, own_fault=own_fault, hyperparameters=params
    )
    text = get(browser_client, experiment, "dials_preview", family=FAMILY).content.decode()
    assert words in text
    assert "how much is luck" not in text
