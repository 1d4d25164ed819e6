from __future__ import annotations

import pytest
from django.urls import reverse

from automl.experiments.models import Diagnosis, Trial
from automl.experiments.selectors import entry_name
from tests.diagnoses import comparison
from tests.factories import PREPARED, EnsembleFactory, ExperimentFactory, TrialFactory
from tests.pages.conftest import CURVE

pytestmark = pytest.mark.django_db


def two(world):
    one = TrialFactory(
        experiment=world.experiment,
        hyperparameters={"learning_rate": 0.1, "num_leaves": 31, "extra_trees": False},
        learning_curve=CURVE,
    )
    other = TrialFactory(
        experiment=world.experiment,
        hyperparameters={"learning_rate": 0.3, "num_leaves": 31, "extra_trees": True},
        learning_curve=CURVE,
    )
    return one, other


def address(world, *ids) -> str:
    return reverse("pages:compare", args=[world.experiment.id]) + "?" + "&".join(f"trial={id}" for id in ids)


def test_with_fewer_than_two_there_is_a_picker(browser_client, world):
    for ids in ([], [world.trial.id]):
        answer = browser_client.get(address(world, *ids))
        assert answer.status_code == 200
        assert "Choose two or more" in answer.text
        assert answer.text.count('type="checkbox"') == 4
    assert not Diagnosis.objects.exists()
    assert f'value="{world.trial.id}" checked' in answer.text


def test_two_trials_are_compared_and_what_differs_stands_first(browser_client, world):
    one, other = two(world)
    answer = browser_client.get(address(world, one.id, other.id))
    assert "row by row" in answer.text
    assert [(name, differs) for name, _, differs in answer.context["dials"]] == [
        ("learning rate", True),
        ("extra trees", True),
        ("num leaves", False),
    ]
    assert ["off", "on"] in [values for _, values, _ in answer.context["dials"]]
    assert len(answer.context["curves"][0]["hues"]) == 2
    assert len(answer.context["curves"][0]["rows"]) == 2 * 4
    assert '<th scope="col">Trial</th><th scope="col" class="right">Rounds</th>' in answer.text
    pairs = comparison((str(one.id), entry_name(one)), (str(other.id), entry_name(other)))
    Diagnosis.objects.update(state="ready", result=pairs, version=1)
    done = browser_client.get(
        reverse("pages:compare_state", args=[world.experiment.id]), {"trial": [str(one.id), str(other.id)]}
    )
    assert done.status_code == 286
    assert "is better than" in done.text
    assert "Where they disagree most" in done.text


def test_the_best_of_many_is_told_to_owe_a_part_to_luck(browser_client, world):
    one, other = two(world)
    assert "a part of its lead is luck" not in browser_client.get(address(world, one.id, other.id)).text
    best = TrialFactory(experiment=world.experiment, score=0.99)
    for number in range(10):
        TrialFactory(experiment=world.experiment, score=0.5 + number / 100)
    said = f"{entry_name(best)} is the best of many trials"
    assert said in browser_client.get(address(world, one.id, best.id)).text
    assert said not in browser_client.get(address(world, one.id, other.id)).text


def test_an_ensemble_and_a_tie_among_many_say_what_limits_them(browser_client, world):
    one, other = two(world)
    pairs = comparison((str(one.id), entry_name(one)), (str(other.id), entry_name(other)))
    browser_client.get(address(world, one.id, other.id))
    pairs["pairs"][0] |= {"tied": True, "tied_alone": False}
    pairs["entries"][0]["flattered"] = True
    Diagnosis.objects.update(state="ready", result=pairs, version=1)
    page = browser_client.get(address(world, one.id, other.id)).text
    assert f"The weights of {entry_name(one)} were chosen on these same rows" in page
    assert "though not alone" in page


def test_who_asked_for_a_trial_is_told_as_on_the_board(browser_client, world):
    one, other = two(world)
    Trial.objects.filter(id=one.id).update(origin="manual")
    facts = browser_client.get(address(world, one.id, other.id)).context["facts"]
    assert next(values for name, values, _ in facts if name == "Origin")[0] == "by you"


def test_ties_are_told_as_ties_and_the_worse_one_second(browser_client, world):
    one, other = two(world)
    third = TrialFactory(experiment=world.experiment)
    browser_client.get(address(world, one.id, other.id, third.id))
    found = comparison(*((str(each.id), entry_name(each)) for each in (one, other, third)))
    found["pairs"][0] |= {"gain": -0.012, "low": -0.016, "high": -0.008}
    Diagnosis.objects.update(state="ready", result=found, version=1)
    verdicts = browser_client.get(address(world, one.id, other.id, third.id)).context["verdicts"]
    assert (verdicts[0]["better"], verdicts[0]["worse"]) == (entry_name(other), entry_name(one))
    assert (verdicts[0]["low"], verdicts[0]["high"]) == (0.008, 0.016)
    assert [each["tied"] for each in verdicts] == [False, True, True]


def test_two_that_score_the_same_are_told_so_without_figures(browser_client, world):
    one, other = two(world)
    browser_client.get(address(world, one.id, other.id))
    found = comparison((str(one.id), entry_name(one)), (str(other.id), entry_name(other)))
    found["pairs"][0] |= {"gain": 0.0, "low": -1e-17, "high": 0.0, "tied": True}
    Diagnosis.objects.update(state="ready", result=found, version=1)
    page = browser_client.get(address(world, one.id, other.id)).text
    assert "they score the same" in page
    assert "0.000000" not in page


def test_the_ensemble_can_be_named_by_its_word(browser_client, world):
    ensemble = EnsembleFactory(experiment=world.experiment, score=0.99, weights={str(world.trial.id): 1.0})
    browser_client.get(address(world, "ensemble", world.trial.id))
    assert Diagnosis.objects.get().entries == [str(ensemble.id), str(world.trial.id)]


def test_what_is_not_of_this_experiment_is_not_there(browser_client, world):
    stranger = TrialFactory()
    for ids in ([stranger.id, world.trial.id], ["nonsense"]):
        assert browser_client.get(address(world, *ids)).status_code == 404


def test_a_trial_without_all_folds_can_not_be_compared(browser_client, world):
    answer = browser_client.get(address(world, world.trial.id, world.failed.id))
    assert answer.status_code == 409


def test_the_state_of_somebody_elses_comparison_is_not_there(charlies, world):
    one, other = two(world)
    base = reverse("pages:compare_state", args=[world.experiment.id])
    assert charlies.get(base, {"trial": [str(one.id), str(other.id)]}).status_code == 404
    for view in ("compare_experiments", "compare_experiments_state"):
        both = {"experiment": [str(world.experiment.id)] * 2}
        assert charlies.get(reverse(f"pages:{view}"), both).status_code == 404


def test_a_comparison_that_failed_may_be_tried_again(browser_client, world):
    one, other = two(world)
    browser_client.get(address(world, one.id, other.id))
    Diagnosis.objects.update(state="failed", error="The file is damaged.")
    assert "The file is damaged." in browser_client.get(address(world, one.id, other.id)).text
    again = browser_client.post(
        reverse("pages:compare_again", args=[world.experiment.id]), {"trial": [str(one.id), str(other.id)]}
    )
    assert again.url == address(world, one.id, other.id)
    assert Diagnosis.objects.get().state == "computing"


def test_experiments_of_one_table_and_seed_are_paired(browser_client, world, alice):
    other = ExperimentFactory(owner=alice, dataset=world.dataset, state="complete")
    TrialFactory(experiment=other)
    base = reverse("pages:compare_experiments")
    query = {"experiment": [str(world.experiment.id), str(other.id)]}
    answer = browser_client.get(base, query)
    assert len(Diagnosis.objects.get().entries) == 2
    assert "hx-get" in answer.text
    assert {name: differs for name, _, differs in answer.context["facts"]}["Dataset"] is False
    history = answer.context["history"]
    assert len(history["hues"]) == 2
    assert {name for name, *_ in history["rows"]} == {world.experiment.name, other.name}
    assert 'id="history-table"' in answer.text
    assert "Choose two or more" in browser_client.get(base).text


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"seed": 7}, "seeds"),
        ({"target": "city"}, "targets"),
        ({"dataset": None}, "tables"),
        ({"prepared": {**PREPARED, "folds": 10}}, "folds"),
        ({"prepared": {**PREPARED, "drawn": 90}}, "numbers of rows, as there was time for"),
    ],
)
def test_experiments_of_other_rows_say_why_they_are_not_paired(browser_client, world, alice, changed, what):
    changed = {**changed, "dataset": world.dataset} if "dataset" not in changed else {}
    other = ExperimentFactory(owner=alice, **changed)
    TrialFactory(experiment=other)
    answer = browser_client.get(
        reverse("pages:compare_experiments"), {"experiment": [str(world.experiment.id), str(other.id)]}
    )
    assert f"have different {what}" in answer.text
    assert not Diagnosis.objects.exists()


def test_three_hundred_trials_take_few_queries(browser_client, world, django_assert_max_num_queries):
    one, other = two(world)
    for number in range(300):
        TrialFactory(experiment=world.experiment, number=100 + number)
    browser_client.get(address(world, one.id, other.id))
    with django_assert_max_num_queries(9):
        answer = browser_client.get(address(world, one.id, other.id))
    assert answer.text.count('type="checkbox"') <= 62
