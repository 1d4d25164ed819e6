"""Tuning by hand and by sweep in a browser: what is turned, what is told before, what comes of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from automl.experiments.models import Experiment, Sweep, Trial
from tests.factories import ExperimentFactory, TrialFactory
from tests.pages.test_dials import tried

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def experiment_of(alice, **fields) -> Experiment:
    """A search of 300 trials, 60 of them of the family that is turned."""
    experiment = ExperimentFactory(owner=alice, name="who earns more", time_budget=600.0, **fields)
    tried(experiment, 60)
    told = {"value": 0.84, "low": 0.82, "high": 0.86, "seconds": 2.1}
    for score, state in ((0.8612, "complete"), (None, "running")):
        TrialFactory(
            experiment=experiment, origin="manual", state=state, score=score, prediction=told, seconds=2.4
        )
    return experiment


def test_by_hand(signed_in: Page, alice, picture):
    experiment = experiment_of(alice)
    page = signed_in
    page.goto(f"/experiments/{experiment.id}/dials/")
    picture(page, "dials-families")
    page.get_by_role("link", name="LightGBM").first.click()
    expect(page.locator("#preview .figure strong")).to_be_visible()
    before = page.locator("#preview .figure strong").inner_text()

    leaves = page.locator("#dial-num_leaves")
    slider = page.get_by_role("slider", name="Leaves of a tree, slider")
    expect(slider).to_be_visible()
    slider.focus()
    page.keyboard.press("End")
    expect(leaves).to_have_value("256")
    expect(page.locator("#preview .figure strong")).not_to_have_text(before)
    leaves.fill("4")
    expect(slider).to_have_value("0")
    rate = page.get_by_role("slider", name="Learning rate, slider")
    rate.focus()
    page.keyboard.press("Home")
    expect(page.locator("#dial-learning_rate")).to_have_value("0.005")
    page.get_by_role("button", name="Reset all").click()
    expect(leaves).to_have_value("31")
    leaves.fill("9999")
    expect(page.locator("#preview .error")).to_contain_text("give a whole number from 4 to 256")
    leaves.fill("90")
    expect(page.locator("#preview .figure strong")).to_be_visible()
    told = page.locator("#preview .figure strong").inner_text()
    leaves.press_sequentially("9")
    expect(page.locator("#preview .error")).to_contain_text("909")
    leaves.press("Backspace")
    expect(page.locator("#preview .figure strong")).to_have_text(told)
    picture(page, "dials-panel")

    leaves.press("Tab")
    page.get_by_role("button", name="Train it").click()
    expect(page.get_by_text("It is on the board as yours.")).to_be_visible()
    trial = Trial.objects.filter(origin="manual", hyperparameters__num_leaves=90).get()
    row = page.locator("#mine tbody tr").first
    expect(row).to_contain_text("waiting")
    expect(leaves).to_have_value("90")
    Trial.objects.filter(id=trial.id).update(state="complete", score=0.85, value=0.85, seconds=1.9)
    expect(row).to_contain_text("0.8500")
    expect(row).to_contain_text("expected")


def test_a_dial_that_is_out_of_use_is_put_away(signed_in: Page, alice):
    experiment = experiment_of(alice)
    signed_in.goto(f"/experiments/{experiment.id}/dials/?family=linear")
    ratio = signed_in.locator("#dial-l1_ratio-box")
    expect(ratio).to_have_class("dial unused")
    signed_in.get_by_text("elasticnet", exact=True).first.click()
    expect(ratio).to_have_class("dial")


def test_by_sweep(signed_in: Page, alice, picture):
    experiment = experiment_of(alice)
    page = signed_in
    page.goto(f"/experiments/{experiment.id}/sweeps/")
    picture(page, "sweeps-empty")
    page.get_by_role("link", name="LightGBM").first.click()
    expect(page.get_by_text("Tick one or more dials")).to_be_visible()
    page.get_by_role("checkbox", name="Learning rate").check()
    expect(page.locator("#count .figure strong")).to_have_text("5")
    page.get_by_role("checkbox", name="Leaves of a tree").check()
    expect(page.locator("#count .figure strong")).to_have_text("25")
    picture(page, "sweeps-builder")
    page.get_by_role("button", name="Begin the sweep").click()
    expect(page.get_by_text("0 of 25 done")).to_be_visible()

    sweep = Sweep.objects.get()
    for place, trial in enumerate(sweep.trials.order_by("number")):
        row, column = divmod(place, 5)
        score = 0.86 - 0.01 * (row - 3) ** 2 - 0.006 * (column - 2) ** 2
        if place < 22:
            Trial.objects.filter(id=trial.id).update(state="complete", score=score, value=score)
    expect(page.get_by_text("22 of 25 done")).to_be_visible()
    expect(page.locator(".heatmap.wide .cell.top")).to_have_count(1)
    picture(page, "sweeps-map")


def test_a_curve_of_one_dial(signed_in: Page, alice, picture):
    from automl.experiments.services.by_hand import add_sweep

    experiment = experiment_of(alice)
    rates = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4]
    added = add_sweep(experiment, family="lightgbm", grid={"learning_rate": rates})
    for trial, score in zip(added.trials, (0.80, 0.84, 0.861, 0.866, 0.86, 0.845, 0.79), strict=True):
        Trial.objects.filter(id=trial.id).update(
            state="complete", score=score, value=score, value_low=score - 0.01, value_high=score + 0.01
        )
    signed_in.goto(f"/experiments/{experiment.id}/sweeps/?sweep={added.sweep.id}")
    expect(signed_in.locator(".chart.wide .dot")).to_have_count(7)
    picture(signed_in, "sweeps-curve")
