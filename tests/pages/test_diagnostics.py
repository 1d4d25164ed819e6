from __future__ import annotations

import re

import pytest
from django.urls import reverse

from automl.experiments.models import Diagnosis
from automl.experiments.services.diagnoses import request_diagnosis
from automl.pages.templatetags.show import fixed
from automl.pages.thresholds import Costs, Table
from tests.diagnoses import diagnosis
from tests.factories import EnsembleFactory, TrainedModelFactory, TrialFactory
from tests.pages.conftest import World

pytestmark = pytest.mark.django_db

PARTS = {
    "binary": ["mistakes", "threshold", "ranking", "calibration", "importance", "dependence", "rows"],
    "multiclass": ["mistakes", "ranking", "calibration", "importance", "dependence", "rows"],
    "regression": ["fit", "residuals", "importance", "dependence", "rows"],
}
CLASSES = {"binary": 2, "multiclass": 26, "regression": 0}


def ready(trial, task="binary") -> str:
    """The address of a trial's diagnostics, which are there."""
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(
        state="ready", result=diagnosis(task, CLASSES[task]), version=1
    )
    return reverse("pages:trial_diagnostics", args=[trial.id])


def part(address, name, query=""):
    return f"{address}{name}/{query}"


def test_the_first_look_has_it_computed_and_shows_that(
    browser_client, world, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser_client.get(reverse("pages:trial_diagnostics", args=[world.trial.id]))
    found = Diagnosis.objects.get()
    assert sent == [("diagnose", found.id)]
    assert "Looking at every prediction" in answer.text
    state = reverse("pages:trial_diagnostics_state", args=[world.trial.id])
    assert f'hx-get="{state}"' in answer.text
    assert browser_client.get(state, {"version": "0.computing"}).status_code == 204
    Diagnosis.objects.update(state="ready", result=diagnosis(), version=1)
    done = browser_client.get(state, {"version": "0.computing"})
    assert done.status_code == 286
    assert "Threshold and costs" in done.text


def test_a_failure_says_why_and_offers_another_try(
    browser_client, world, sent, django_capture_on_commit_callbacks
):
    address = ready(world.trial)
    Diagnosis.objects.update(state="failed", result=None, error="The table is altered.")
    assert "The table is altered." in browser_client.get(address).text
    with django_capture_on_commit_callbacks(execute=True):
        again = browser_client.post(reverse("pages:trial_diagnostics_again", args=[world.trial.id]))
    assert again.url == address
    assert Diagnosis.objects.get().state == "computing"
    assert len(sent) == 1


@pytest.mark.parametrize("task", PARTS)
def test_every_part_is_there_when_the_reader_comes_to_it(browser_client, world, task):
    address = ready(world.trial, task)
    whole = browser_client.get(address).text
    for name in PARTS[task]:
        assert f'hx-get="{part(address, name)}?"' in whole
        answer = browser_client.get(part(address, name))
        assert answer.status_code == 200
        assert "<table" in answer.text
    assert len(whole) < 40_000


@pytest.mark.parametrize("task", PARTS)
def test_without_scripts_all_of_it_is_one_page(browser_client, world, task):
    everything = browser_client.get(f"{ready(world.trial, task)}?all").text
    assert "hx-get" not in everything
    assert everything.count("<h2") == len(PARTS[task])


@pytest.mark.parametrize(
    ("bias", "words"), [(0.0, "neither too high nor too low"), (-3.0, "3 too low"), (3.0, "3 too high")]
)
def test_a_mean_error_is_told_without_a_sign(browser_client, world, bias, words):
    address = ready(world.trial, "regression")
    found = Diagnosis.objects.get()
    found.result["regression"]["bias"] = bias
    found.save()
    text = browser_client.get(part(address, "fit")).text
    assert words in " ".join(re.sub("<[^>]+>", " ", text).split())


def test_curves_and_bars_have_their_points_as_tables(browser_client, world):
    binary = browser_client.get(part(ready(world.trial), "ranking"))
    for _, _, _, points in binary.context["found"]["lines"]:
        assert 2 <= len(points) <= 20
    found = Diagnosis.objects.get().result["classification"]["curves"]["classes"][0]
    assert binary.context["found"]["lines"][0][3][-1] == found["roc"][-1]
    assert "for two classes" not in binary.text
    numbers = browser_client.get(part(ready(world.trial, "regression"), "residuals"))
    counts = Diagnosis.objects.get().result["regression"]["residuals"]["counts"]
    assert [count for _, _, count in numbers.context["found"]["counts"]] == counts


def test_chances_near_nothing_are_written_as_people_write_them(browser_client, world):
    address = ready(world.trial, "multiclass")
    found = Diagnosis.objects.get()
    curve = found.result["dependence"][0]
    for place, line in enumerate(curve["lines"]):
        line["mean"] = [0.0005336 / (place + 1)] * len(line["mean"])
    found.save()
    text = browser_client.get(part(address, "dependence")).text
    assert ">0.0005336</td>" in text
    assert not re.search(r">\d\.\d+e-\d", text)


def test_of_more_than_two_classes_it_says_that_there_is_no_threshold(browser_client, world):
    answer = browser_client.get(part(ready(world.trial, "multiclass"), "ranking"))
    assert "a threshold with costs are for two classes" in answer.text
    assert answer.context["found"]["lines"] == []


def test_a_part_of_another_task_is_not_there(browser_client, world):
    address = ready(world.trial, "regression")
    for name in ("threshold", "mistakes", "thresholds", "nonsense"):
        assert browser_client.get(part(address, name)).status_code == 404


def test_a_part_that_is_not_computed_yet_is_refused(browser_client, world):
    address = reverse("pages:trial_diagnostics", args=[world.trial.id])
    assert browser_client.get(part(address, "mistakes")).status_code == 409


def test_costs_move_the_cheapest_threshold(browser_client, world):
    address = ready(world.trial)
    dear_misses = browser_client.get(part(address, "threshold", "?false_negative=20"))
    dear_alarms = browser_client.get(part(address, "threshold", "?false_positive=20"))
    assert dear_misses.context["found"]["best"].threshold < dear_alarms.context["found"]["best"].threshold
    odd = browser_client.get(part(address, "threshold", "?false_positive=-3&false_negative=x&threshold=7"))
    assert odd.context["found"]["costs"] == Costs(1.0, 1.0)
    assert odd.context["found"]["at"].threshold == 1.0


def test_the_threshold_that_the_model_itself_has_is_told(browser_client, world):
    address = ready(world.trial)
    assert "The model calls a row" not in browser_client.get(part(address, "threshold")).text
    found = Diagnosis.objects.get()
    found.result["classification"]["threshold"] = 0.083
    found.save()
    assert "The model calls a row “yes” from 0.083 on" in browser_client.get(part(address, "threshold")).text


def test_the_slider_gets_its_counts_as_a_file(browser_client, world):
    found = browser_client.get(part(ready(world.trial), "thresholds")).json()
    assert len(found["values"]) == len(found["true_positives"]) > 150


def test_the_cheapest_threshold_is_the_middle_of_those_that_cost_the_same():
    found = {
        "positives": 10,
        "negatives": 90,
        "values": [0.0, 0.25, 0.5, 0.75, 1.0],
        "true_positives": [10, 10, 10, 10, 0],
        "false_positives": [90, 0, 0, 0, 0],
    }
    table = Table(found, Costs(1.0, 1.0))
    assert table.best.threshold == 0.5
    assert table.best.cost == 0.0
    assert table.at(0.0).cost == 900.0
    assert (table.at(0.6).tp, table.at(1.0).recall, table.at(1.0).precision) == (10, 0.0, None)


@pytest.mark.parametrize(
    ("told", "says"), [({}, True), ({"flattered": True}, True), ({"flattered": False}, False)]
)
def test_a_model_of_an_ensemble_says_where_its_figures_flatter(browser_client, world, told, says):
    ensemble = EnsembleFactory(experiment=world.experiment, weights={str(world.trial.id): 1.0})
    model = TrainedModelFactory(
        experiment=world.experiment, trial=None, ensemble=ensemble, name="Ensemble of 3"
    )
    found = request_diagnosis(ensemble)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis() | told)
    answer = browser_client.get(reverse("pages:model_diagnostics", args=[model.id])).text
    assert ("were chosen on these same rows" in answer) is says
    assert (
        browser_client.get(reverse("pages:model_diagnostics_part", args=[model.id, "rows"])).status_code
        == 200
    )


def test_a_trial_that_did_not_complete_says_so(browser_client, world: World):
    answer = browser_client.get(reverse("pages:trial_diagnostics", args=[world.failed.id]))
    assert answer.status_code == 409
    assert "only a complete trial" in answer.text


def test_a_trial_and_a_model_lead_to_their_diagnostics(browser_client, world):
    for name, row in (("trial", world.trial), ("model", world.model)):
        link = reverse(f"pages:{name}_diagnostics", args=[row.id])
        assert link in browser_client.get(reverse(f"pages:{name}", args=[row.id])).text


@pytest.mark.parametrize("task", PARTS)
def test_pages_take_few_queries(browser_client, world, task, django_assert_max_num_queries):
    for number in range(300):
        TrialFactory(experiment=world.experiment, number=100 + number)
    address = ready(world.trial, task)
    browser_client.get(address)
    for each in (address, *(part(address, name) for name in PARTS[task])):
        with django_assert_max_num_queries(8):
            browser_client.get(each)


def test_of_many_classes_the_commonest_mistakes_stand_out(browser_client, world):
    answer = browser_client.get(part(ready(world.trial, "multiclass"), "mistakes"))
    cells = [cell for row in answer.context["found"]["matrix"] for cell in row["cells"] if not cell["right"]]
    assert max(cells, key=lambda cell: cell["share"])["shade"] > 6
    assert min((cell for cell in cells if cell["count"]), key=lambda cell: cell["share"])["shade"] < 5
    assert {cell["shade"] for cell in cells if not cell["count"]} <= {0}


def test_figures_of_one_table_have_the_same_decimals():
    assert [fixed(value, 0.0548) for value in (0.0548, 0.00048, -0.0021, None)] == [
        "0.0548",
        "0.0005",
        "\N{MINUS SIGN}0.0021",
        "\N{EN DASH}",
    ]
    assert fixed(31415.9, 40_000.0) == "31,416"
    assert fixed(0.0, 0.0) == "0"
