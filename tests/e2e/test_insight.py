"""What mattered, the search as it goes on, a trial's two parts, and what tuning was worth."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from automl.experiments.models import Experiment
from tests.e2e.test_quality import AXE, TAGS, small_targets
from tests.factories import EnsembleFactory, TrialFactory
from tests.pages.test_insight import long_search

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def searched(alice, trials: int = 300, **changed) -> Experiment:
    experiment = long_search(alice, trials, **changed)
    Experiment.objects.filter(id=experiment.id).update(name="Who earns more?", spent=trials / 2)
    experiment.refresh_from_db()
    return experiment


def go(page: Page, name: str, row, query: str = "") -> None:
    page.goto(reverse(f"pages:{name}", args=[row.id]) + query)


@pytest.mark.parametrize("trials", [300, 5_000])
def test_what_mattered_comes_by_itself(signed_in: Page, alice, picture, trials: int):
    experiment = searched(alice, trials, state="complete")
    go(signed_in, "insight", experiment, "?family=lightgbm")
    expect(signed_in.get_by_role("heading", name="Which dials of LightGBM decided")).to_be_visible()
    expect(signed_in.locator("table.ranked tbody th").first).to_contain_text("Learning rate")
    expect(signed_in.locator(".small-charts .chart").first).to_be_visible()
    ruins = signed_in.get_by_text("usually ruins the result")
    expect(ruins.or_(signed_in.get_by_text("has always ruined")).first).to_be_visible()
    if trials == 300:
        picture(signed_in, "insight")
    signed_in.get_by_role("link", name="XGBoost").click()
    expect(signed_in.get_by_role("heading", name="Which dials of XGBoost decided")).to_be_visible()


def test_an_open_table_stays_open_while_the_page_moves_on(signed_in: Page, alice):
    experiment = searched(alice, 120)
    go(signed_in, "insight", experiment, "?family=lightgbm")
    before = experiment.trials.filter(family="lightgbm").count()
    signed_in.locator("#table-of-learning_rate").click()
    for number in range(5):
        TrialFactory(
            experiment=experiment,
            number=1_000 + number,
            hyperparameters={"learning_rate": 0.06, "num_leaves": 31},
        )
    Experiment.objects.filter(id=experiment.id).update(version=3)
    expect(signed_in.locator("#insight")).to_contain_text(f"From {before + 5} trials", timeout=20_000)
    expect(signed_in.locator("#table-learning_rate")).to_have_attribute("open", "")


def test_the_search_is_followed_live(signed_in: Page, alice, picture):
    experiment = searched(alice, 300)
    trial = TrialFactory(
        experiment=experiment, number=300, state="running", origin="search", fold_scores=[0.899]
    )
    TrialFactory(
        experiment=experiment,
        number=301,
        state="running",
        origin="search",
        family="xgboost",
        fold_scores=[0.7, 0.71],
    )
    TrialFactory(experiment=experiment, number=302, state="waiting", origin="manual", family="linear")
    go(signed_in, "search", experiment)
    row = signed_in.locator("#raced-box tbody tr").first
    expect(row).to_contain_text("1 of 5")
    expect(signed_in.locator(".shares.wide")).to_be_visible()
    picture(signed_in, "search")
    trial.fold_scores = [0.899, 0.901]
    trial.save()
    expect(row).to_contain_text("2 of 5", timeout=4_000)
    quiet: list[int] = []
    signed_in.on("response", lambda answer: quiet.append(answer.status))
    signed_in.wait_for_timeout(2_500)
    assert set(quiet) == {204}


def test_a_trial_keeps_what_was_set_apart_from_what_was_found(signed_in: Page, alice, picture):
    experiment = searched(alice, 60)
    rounds = list(range(1, 101))
    trial = TrialFactory(
        experiment=experiment,
        number=99,
        score=0.9123,
        fold_scores=[0.905, 0.911, 0.918, 0.909, 0.914],
        hyperparameters=experiment.trials.filter(family="lightgbm").last().hyperparameters,
        learning_curve={
            "unit": "rounds",
            "x": rounds,
            "best": 40,
            "metric": "log_loss",
            "train": [],
            "valid": [0.28 + 0.4 * 0.85**r + 0.002 * max(r - 40, 0) for r in rounds],
        },
        diagnosis="Overfits from round 40. After it validation loses 34 % of what was gained; "
        "round 40 was kept. Fewer leaves or a lower learning rate would let it learn longer.",
        learned={
            "rounds": 40,
            "trees": 40,
            "importance": [["age", 0.52], ["city", 0.31], ["capital_gain", 0.12], ["hours", 0.05]],
        },
    )
    go(signed_in, "trial", trial)
    before, after = signed_in.locator(".part.before"), signed_in.locator(".part.after")
    expect(before.get_by_role("heading", name="Set before training")).to_be_visible()
    expect(before.locator("tbody tr")).to_have_count(8)
    expect(after).to_contain_text("capital_gain")
    expect(signed_in.locator("#diagnosis strong")).to_have_text("Overfits from round 40.")
    picture(signed_in, "trial-parts")
    linear = TrialFactory(
        experiment=experiment,
        number=100,
        family="linear",
        hyperparameters={"strength": 0.001},
        learned={"coefficients": [1, 106], "nonzero": 98, "largest": [["age", 1.25], ["city", -0.75]]},
    )
    go(signed_in, "trial", linear)
    expect(signed_in.locator(".part.after")).to_contain_text("106")
    picture(signed_in, "trial-linear")


def test_the_card_says_whether_tuning_was_worth_it(signed_in: Page, alice, picture):
    experiment = searched(alice, 60, state="complete")
    EnsembleFactory(experiment=experiment, score=0.93)
    go(signed_in, "experiment", experiment)
    card = signed_in.locator("#worth .worth")
    expect(card).to_contain_text("Was tuning worth it?")
    expect(card).to_contain_text("Cost on the seats")
    card.scroll_into_view_if_needed()
    picture(signed_in, "experiment-worth")


def test_empty_pages_teach(signed_in: Page, alice, picture):
    experiment = searched(alice, 8)
    experiment.trials.all().delete()
    go(signed_in, "insight", experiment)
    expect(signed_in.get_by_role("heading", name="Nothing to learn from yet")).to_be_visible()
    picture(signed_in, "insight-empty")
    go(signed_in, "search", experiment)
    expect(signed_in.locator(".next")).to_contain_text("Next:")
    picture(signed_in, "search-empty")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_full_pages_can_be_used_by_everybody(signed_in: Page, alice, scheme: str):
    experiment = searched(alice, 240, families=("lightgbm", "linear"))
    TrialFactory(experiment=experiment, number=900, state="running", origin="search", fold_scores=[0.899])
    trial = experiment.trials.filter(family="lightgbm", state="complete").last()
    trial.learned = {"rounds": 40, "importance": [["age", 0.52], ["city", 0.31]]}
    trial.save()
    signed_in.emulate_media(color_scheme=scheme)
    for name, row, query, ready in (
        ("insight", experiment, "?family=lightgbm", ".parallel"),
        ("search", experiment, "", ".shares"),
        ("trial", trial, "", ".part.after"),
        ("experiment", experiment, "", ".worth"),
    ):
        for width in (1440, 390):
            signed_in.set_viewport_size({"width": width, "height": 900})
            go(signed_in, name, row, query)
            expect(signed_in.locator(ready).first).to_be_attached()
            found = AXE.run(signed_in, options={"runOnly": TAGS, "resultTypes": ["violations"]}).response
            said = [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in found["violations"]]
            assert said == [], (name, width)
            assert small_targets(signed_in) == [], (name, width)
