"""What a reader of diagnostics and comparisons does in a browser."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from automl.experiments.models import Diagnosis
from automl.experiments.selectors import entry_name
from automl.experiments.services.diagnoses import request_diagnosis
from tests.diagnoses import comparison, diagnosis
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory
from tests.pages.conftest import CURVE
from tests.pages.test_diagnostics import CLASSES, PARTS

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def experiment_of(alice, **changed):
    experiment = ExperimentFactory(owner=alice, name="adult", state="complete", **changed)
    for number, (family, score) in enumerate([("lightgbm", 0.927), ("catboost", 0.9265), ("linear", 0.903)]):
        TrialFactory(
            experiment=experiment,
            number=number,
            family=family,
            score=score,
            learning_curve=CURVE if family != "linear" else None,
            hyperparameters={"learning_rate": 0.05 * (number + 1), "depth": 6},
        )
    return experiment


def every_part(page: Page, task: str) -> None:
    """Scroll through all parts, as a reader does: each comes when it is reached."""
    for name in PARTS[task]:
        page.locator(f"#part-{name}").scroll_into_view_if_needed()
        expect(page.locator(f"#part-{name} table").first).to_be_attached()
    page.evaluate("window.scrollTo(0, 0)")


@pytest.mark.parametrize("task", PARTS)
def test_every_part_of_a_diagnosis_comes_when_it_is_reached(signed_in, alice, picture, task):
    trial = experiment_of(alice).trials.first()
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis(task, CLASSES[task]))
    page: Page = signed_in
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reverse("pages:trial_diagnostics", args=[trial.id]))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Diagnostics")
    assert not any("/diagnostics/rows/" in url for url in asked)
    every_part(page, task)
    assert sum("/diagnostics/rows/" in url for url in asked) == 1
    picture(page, f"diagnostics-{task}")


def test_a_diagnosis_appears_by_itself_once_it_is_there(signed_in, alice):
    trial = experiment_of(alice).trials.first()
    page: Page = signed_in
    page.goto(reverse("pages:trial", args=[trial.id]))
    page.get_by_role("link", name="Diagnostics").click()
    expect(page.get_by_text("Looking at every prediction")).to_be_visible()
    Diagnosis.objects.update(state="ready", result=diagnosis(), version=1)
    expect(page.get_by_role("heading", name="Threshold and costs")).to_be_visible(timeout=4000)


def test_the_threshold_follows_the_slider_and_the_costs(signed_in, alice):
    trial = experiment_of(alice).trials.first()
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis())
    page: Page = signed_in
    page.goto(reverse("pages:trial_diagnostics", args=[trial.id]))
    page.locator("#part-threshold").scroll_into_view_if_needed()
    expect(page.locator("#part-threshold .marker.cheapest").first).to_be_attached()
    page.get_by_label("A miss costs").fill("20")
    best = page.locator("[data-show=best]").inner_text()
    assert float(best) < 0.5
    page.get_by_role("button", name="Go there").click()
    expect(page.locator("output[data-show=threshold]")).to_have_text(best)
    cheapest = page.locator("[data-show=best_cost]").inner_text()
    expect(page.locator("dd[data-show=cost]")).to_have_text(cheapest)
    page.locator("#at").press("Home")
    expect(page.locator("dd[data-show=recall]")).to_have_text("1.0000")
    # What the server says for the same costs is the same.
    page.goto(f"{reverse('pages:trial_diagnostics', args=[trial.id])}?all&false_negative=20#threshold")
    assert page.locator("[data-show=best]").inner_text() == best
    assert page.locator("[data-show=best_cost]").inner_text() == cheapest


def test_without_scripts_the_costs_are_a_form(browser, live_server, signed_in, alice):
    trial = experiment_of(alice).trials.first()
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis())
    context = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=signed_in.context.storage_state()
    )
    page = context.new_page()
    page.goto(reverse("pages:trial_diagnostics", args=[trial.id]))
    page.get_by_role("link", name="All at once").click()
    page.get_by_label("A miss costs").fill("20")
    page.get_by_role("button", name="Show", exact=True).click()
    assert "false_negative=20" in page.url
    assert float(page.locator("[data-show=best]").inner_text()) < 0.5
    context.close()


def test_trials_are_chosen_and_compared(signed_in, alice, picture):
    experiment = experiment_of(alice)
    first, second, third = experiment.trials.order_by("number")
    EnsembleFactory(experiment=experiment, score=0.93, weights={str(first.id): 1.0})
    page: Page = signed_in
    page.goto(reverse("pages:compare", args=[experiment.id]))
    picture(page, "compare-empty")
    for trial in (first, second, third):
        page.get_by_role("checkbox", name=entry_name(trial)).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("row by row")).to_be_visible()
    pairs = comparison(*((str(each.id), entry_name(each)) for each in (first, second, third)))
    Diagnosis.objects.update(state="ready", result=pairs, version=1)
    expect(page.get_by_text("is better than")).to_be_visible(timeout=4000)
    expect(page.get_by_text("tied", exact=True).first).to_be_visible()
    expect(page.get_by_role("row", name="learning rate")).to_be_visible()
    picture(page, "compare")


def test_experiments_are_compared(signed_in, alice, picture):
    one = experiment_of(alice)
    other = experiment_of(alice, dataset=one.dataset)
    page: Page = signed_in
    page.goto(reverse("pages:compare_experiments"))
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Compare").click()
    names = [(str(each.trials.order_by("number").first().id), each.name) for each in (one, other)]
    expect(page.get_by_text("row by row")).to_be_visible()
    Diagnosis.objects.update(state="ready", result=comparison(*names), version=1)
    expect(page.get_by_text("is better than")).to_be_visible(timeout=4000)
    expect(page.get_by_text("adult (LightGBM #0)").first).to_be_visible()
    picture(page, "compare-experiments")
