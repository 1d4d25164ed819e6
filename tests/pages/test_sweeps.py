"""The page of sweeps: put together, counted, begun, and the response as it fills in."""

from __future__ import annotations

import re

import pytest
from django.db.models import F
from django.urls import reverse

from automl.experiments.models import Experiment, Sweep, Trial
from automl.experiments.services.by_hand import add_sweep
from tests.factories import ExperimentFactory, TrialFactory
from tests.pages.test_markup import check

FAMILY = "lightgbm"
ASKED = {
    "family": FAMILY,
    "on": ["learning_rate", "num_leaves"],
    "learning_rate.spacing": "log",
    "learning_rate.low": "0.01",
    "learning_rate.high": "0.1",
    "learning_rate.steps": "3",
    "num_leaves.spacing": "list",
    "num_leaves.values": "15, 31 63",
}


def get(client, experiment, name="sweeps", **query):
    return client.get(reverse(f"pages:{name}", args=[experiment.id]), query)


def post(client, experiment, **fields):
    return client.post(reverse("pages:sweeps", args=[experiment.id]), {**ASKED, **fields})


def finish(trial, score):
    Trial.objects.filter(id=trial.id).update(
        state="complete", score=score, value=score, value_low=score - 0.01, value_high=score + 0.01
    )
    Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)


def test_the_builder_offers_every_dial(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    answer = get(browser_client, experiment)
    check(answer)
    assert "None yet" in answer.content.decode()
    answer = get(browser_client, experiment, family=FAMILY)
    check(answer)
    text = answer.content.decode()
    assert 'name="on" value="learning_rate"' in text and 'name="extra_trees.pick"' in text


def test_trials_and_time_are_counted_before(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, seconds=30.0)
    text = get(browser_client, experiment, "sweeps_count", **ASKED).content.decode()
    assert re.search(r"<strong>9</strong>\s*<span[^>]*>trials", text)
    assert "0.01, 0.0316, 0.1" in text
    assert "Takes about" in text and "The search ends in" in text
    text = get(browser_client, experiment, "sweeps_count", family=FAMILY).content.decode()
    assert "Tick one or more dials" in text


def test_what_was_tried_before_is_counted_by_itself(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    add_sweep(experiment, family=FAMILY, grid={"num_leaves": [15], "learning_rate": [0.01, 0.1]})
    text = get(browser_client, experiment, "sweeps_count", **ASKED).content.decode()
    assert "<strong>7</strong>" in text and "Of 9 combinations 2 were tried before" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_leaves.values": ""}, "Write the values"),
        ({"learning_rate.low": "x"}, "Fill in from, to and steps"),
        ({"learning_rate.steps": "nan"}, "Fill in from, to and steps"),
        ({"learning_rate.high": "1e400"}, "1e400"),
        ({"learning_rate.low": "1e-300", "learning_rate.high": "1e300"}, "from 1e-300 to 1e+300"),
        ({"learning_rate.low": "0"}, "above zero"),
        ({"num_leaves.values": "2"}, "give a whole number from 4 to 256"),
        ({"num_leaves.values": "many"}, "not a number"),
        ({"learning_rate.steps": "500"}, "449 x 3); the most is 500"),
    ],
)
def test_what_can_not_be_swept_says_why(browser_client, alice, fields, words):
    experiment = ExperimentFactory(owner=alice)
    counted = get(browser_client, experiment, "sweeps_count", **{**ASKED, **fields})
    assert words in counted.content.decode()
    answer = post(browser_client, experiment, **fields)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert experiment.trials.count() == 0


def test_nothing_ticked_is_refused_kindly(browser_client, alice):
    answer = post(browser_client, ExperimentFactory(owner=alice), on=[])
    assert answer.status_code == 422
    assert "Tick at least one dial" in answer.content.decode()


def test_a_sweep_is_begun_and_shown(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    answer = post(browser_client, experiment)
    sweep = Sweep.objects.get()
    assert answer.headers["Location"].endswith(f"?sweep={sweep.id}#response")
    assert sweep.grid == {"learning_rate": [0.01, 0.0316, 0.1], "num_leaves": [15, 31, 63]}
    assert sweep.trials.count() == 9
    shown = browser_client.get(answer.headers["Location"])
    check(shown)
    assert "9 trials are on their way" in shown.content.decode()
    assert "0 of 9 done" in shown.content.decode()


def test_other_dials_are_as_in_the_best_or_default(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, hyperparameters={"subsample": 0.7, "num_leaves": 99})
    for others, subsample in (("best", 0.7), ("default", 1.0)):
        post(browser_client, experiment, others=others)
        trial = experiment.trials.order_by("-number").first()
        assert trial.hyperparameters["subsample"] == subsample


def test_one_dial_gives_a_curve_that_fills_in(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    added = add_sweep(experiment, family=FAMILY, grid={"learning_rate": [0.01, 0.03, 0.1]})

    def shown(**query):
        address = reverse("pages:sweep_response", args=[experiment.id, added.sweep.id])
        return browser_client.get(address, query)

    answer = shown()
    stamp = re.search(r'name="version" value="([^"]+)"', answer.content.decode())[1]
    assert "drawn here as trials end" in answer.content.decode()
    assert shown(version=stamp).status_code == 204
    for trial, score in zip(added.trials[:2], (0.8, 0.9), strict=True):
        finish(trial, score)
    answer = shown(version=stamp)
    assert answer.status_code == 200
    assert answer.content.decode().count('class="dot"') == 2 * 2
    assert "2 of 3 done" in answer.content.decode() and "best 0.9" in answer.content.decode()
    finish(added.trials[2], 0.7)
    assert shown(version=stamp).status_code == 286


def test_a_poll_of_a_sweep_where_nothing_moved_reads_no_trial(
    browser_client, alice, django_assert_num_queries
):
    experiment = ExperimentFactory(owner=alice)
    added = add_sweep(experiment, family=FAMILY, grid={"learning_rate": [0.01, 0.03, 0.1]})
    address = reverse("pages:sweep_response", args=[experiment.id, added.sweep.id])
    stamp = browser_client.get(address).context["stamp"]
    with django_assert_num_queries(4):  # session, user, experiment, sweep
        assert browser_client.get(address, {"version": stamp}).status_code == 204
    assert browser_client.get(address, {"version": "another"}).status_code == 200


def test_two_dials_give_a_map_and_three_are_folded(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    grid = {"learning_rate": [0.01, 0.1], "num_leaves": [15, 31, 63]}
    two = add_sweep(experiment, family=FAMILY, grid=grid)
    for place, trial in enumerate(two.trials[:-1]):
        finish(trial, 0.8 + place / 100)
    answer = get(browser_client, experiment, sweep=two.sweep.id)
    check(answer)
    text = answer.content.decode()
    assert text.count("<title>") == 1 + 2 * 6
    assert "cell heat-9 top" in text and "cell heat-1" in text and "cell waiting" in text
    three = add_sweep(experiment, family=FAMILY, grid={**grid, "extra_trees": [False, True]})
    finish(three.trials[0], 0.95)
    text = get(browser_client, experiment, sweep=three.sweep.id).content.decode()
    assert "Each cell is the best over random thresholds" in text
    assert "before" in text


def test_a_dial_with_named_positions_is_drawn_without_a_line(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    added = add_sweep(experiment, family=FAMILY, grid={"extra_trees": [False, True]})
    for trial in added.trials:
        finish(trial, 0.8)
    text = get(browser_client, experiment, sweep=added.sweep.id).content.decode()
    assert 'class="line band"' in text and 'class="line main"' not in text
    assert ">yes</text>" in text


def test_a_failed_trial_has_a_cell_and_no_point(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    added = add_sweep(experiment, family=FAMILY, grid={"learning_rate": [0.01, 0.1], "num_leaves": [15, 31]})
    Trial.objects.filter(id=added.trials[0].id).update(state="failed")
    finish(added.trials[1], 0.8)
    assert "cell failed" in get(browser_client, experiment).content.decode()


def test_nobody_else_sees_or_begins(charlies, alice, browser_client):
    experiment = ExperimentFactory(owner=alice)
    added = add_sweep(experiment, family=FAMILY, grid={"num_leaves": [15]})
    for name in ("sweeps", "sweeps_count"):
        assert get(charlies, experiment, name, family=FAMILY).status_code == 404
    address = reverse("pages:sweep_response", args=[experiment.id, added.sweep.id])
    assert charlies.get(address).status_code == 404
    assert post(charlies, experiment).status_code == 404
    other = ExperimentFactory(owner=alice)
    assert (
        browser_client.get(reverse("pages:sweep_response", args=[other.id, added.sweep.id])).status_code
        == 404
    )
    assert get(browser_client, other, sweep=added.sweep.id).status_code == 404
    assert get(browser_client, other, sweep="nothing").status_code == 404


def test_pages_ask_the_database_little(browser_client, alice, django_assert_max_num_queries):
    experiment = ExperimentFactory(owner=alice)
    for low in range(10, 60, 5):
        add_sweep(experiment, family=FAMILY, grid={"num_leaves": list(range(low, low + 10))})
    with django_assert_max_num_queries(8):
        get(browser_client, experiment, family=FAMILY)
    with django_assert_max_num_queries(8):
        get(browser_client, experiment)
    with django_assert_max_num_queries(5):
        get(browser_client, experiment, "sweeps_count", **ASKED)


def test_a_dial_out_of_use_has_a_place_on_the_map_and_its_best_is_framed(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    grid = {"penalty": ["l2", "elasticnet"], "l1_ratio": [0.2, 0.5, 0.8]}
    added = add_sweep(experiment, family="linear", grid=grid)
    for place, trial in enumerate(added.trials):
        finish(trial, 0.9 - place / 100)
    assert "l1_ratio" not in added.trials[0].hyperparameters
    answer = get(browser_client, experiment, sweep=added.sweep.id)
    check(answer)
    wide = answer.context["heat"][0]
    assert len(wide.cells) == 4
    assert wide.label_end - 7 * len("elasticnet") > 12  # where the dial's own name stands
    assert [cell.title.split(":")[0] for cell in wide.cells if cell.best] == [
        "Penalty l2, Share that drops columns not in use"
    ]
    assert "is in use only where penalty is elasticnet" in answer.content.decode()


def test_a_dial_out_of_use_in_all_of_a_sweep_is_said(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    asked = {"family": "linear", "on": "l1_ratio", "l1_ratio.spacing": "list", "l1_ratio.values": "0.2 0.5"}
    text = get(browser_client, experiment, "sweeps_count", **asked).content.decode()
    assert "<strong>1</strong>" in text and "is in use only where penalty is elasticnet" in text
    added = add_sweep(experiment, family="linear", grid={"l1_ratio": [0.2, 0.5]})
    finish(added.trials[0], 0.9)
    text = get(browser_client, experiment, sweep=added.sweep.id).content.decode()
    assert "out of use in all of it" in text and "No trial of it has completed" not in text
