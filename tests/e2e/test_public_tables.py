"""Every page on tables that everybody knows: real models of them, beside made-up trials by the hundred.

The tables are look-alikes (`tests.e2e.lookalikes`), or the real ones where AUTOML_PUBLIC_TABLES says
where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db.models import F
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from automl.core import seats
from automl.engine.metrics import METRICS
from automl.experiments.models import Diagnosis, Experiment, Sweep, Trial
from automl.experiments.selectors import best_entries, list_ensembles, trial_name
from automl.experiments.services.by_hand import add_sweep
from automl.experiments.services.diagnoses import request_comparison, request_diagnosis
from tests.e2e.lookalikes import TABLES, PublicTable
from tests.e2e.searched import carried_out, searched, uploaded
from tests.factories import TrialFactory
from tests.pages.test_diagnostics import PARTS
from tests.searches import Scale, fill

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

TRIED, REAL = ["dummy", "linear", "lightgbm"], 4
MADE_UP = ("lightgbm", "catboost", "linear")
MANY, VERY_MANY = 300, 5_000
VERY_LONG = ("adult", "california_housing")
# No number that a person would not write, and no word of the machine's own.
ABSURD = re.compile(
    r"\bnan\b|\bNaN\b|\bNone\b|\bundefined\b|\bInfinity\b|\binf\b|[-\N{MINUS SIGN}]0(\.0+)?(?![\d.,])"
    r"|\d\.\d{8,}|\d[eE][-+]\d{2,}|\d\.\d+ %"
)
NEGATIVE = re.compile(r"(?m)^[-\N{MINUS SIGN}]\d")
TEXTS = """() => {
  const found = [], walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.data.trim()) found.push(walk.currentNode.data.trim());
  return found;
}"""
CHARTS = """() => Array.from(document.querySelectorAll('main svg.chart'))
  .filter(each => each.checkVisibility())
  .map(svg => {
    const marks = svg.querySelectorAll('polyline, path, circle, polygon, rect');
    const broken = Array.from(svg.querySelectorAll('*'))
      .some(each => Array.from(each.attributes).some(({value}) => /NaN|undefined|inf/i.test(value)));
    const around = svg.closest('article, section, #response') || document;
    return {name: svg.getAttribute('aria-label'), marks: marks.length, broken,
            table: !!around.querySelector('table') || / as a table/.test(around.textContent)};
  })"""


@pytest.fixture(scope="module", autouse=True)
def seat() -> Iterator[None]:
    """One warm server fits for all tests, beside the browser, which may have to wait for it."""
    seats.warm_up()
    expect.set_options(timeout=15_000)
    yield
    expect.set_options(timeout=5_000)
    seats.close()


@dataclass
class Case:
    """A reader on the pages of one table."""

    page: Page
    table: PublicTable
    experiment: Experiment
    other: Experiment
    picture: Callable[[Page, str], list[Path]]

    def go(self, name: str, id: object, query: str = "") -> None:
        self.page.goto(reverse(f"pages:{name}", args=[id] if id else []) + query)

    def looks_right(self, name: str) -> None:
        """Charts have marks and tables, words and figures are for people, and nothing sticks out."""
        said = self.page.evaluate(TEXTS)
        assert [text for text in said if ABSURD.search(text)] == []
        found = self.page.evaluate(CHARTS)
        assert [each for each in found if not each["marks"] or not each["table"] or each["broken"]] == []
        self.picture(self.page, f"{self.table.name}-{name}")


def made(alice, table: PublicTable, folder: Path) -> tuple[Experiment, Experiment]:
    """Two real searches of a table, the first of them filled up with made-up trials."""
    dataset = uploaded(alice, table.write(folder))
    experiment = searched(
        dataset, table.target, families=TRIED, trials=REAL, name=f"What decides {table.target}?"
    )
    other = searched(dataset, table.target, families=["dummy"], trials=1, name="Guessing")
    Experiment.objects.filter(id=experiment.id).update(families=None)
    experiment.refresh_from_db()
    fill(experiment, MANY, families=MADE_UP, scale=scale_of(experiment))
    with carried_out():
        request_diagnosis(curved(experiment))
        request_comparison(experiment, best_real(experiment)[:3])
        both = [experiment.id, other.id]
        answers = best_entries(both, list_ensembles(both))
        request_comparison(experiment, [answers[id] for id in both])
    assert set(Diagnosis.objects.values_list("state", "error")) == {("ready", "")}
    return experiment, other


def best_real(experiment: Experiment) -> list[Trial]:
    """The trials that were fitted, best first."""
    return list(experiment.trials.filter(number__lt=REAL).order_by("-score"))


def curved(experiment: Experiment) -> Trial:
    """The best real trial that has a learning curve."""
    return next(trial for trial in best_real(experiment) if trial.family == "lightgbm")


def scale_of(experiment: Experiment) -> Scale:
    """Made-up trials come close to the best real one of a family that they are of, and none is better.

    Only real ones have files, and folds differ in difficulty for all alike.
    """
    real, guessing = curved(experiment), best_real(experiment)[-1].score
    good = real.score - 0.05 * (real.score - guessing)
    return Scale(guessing, good, tuple(fold - real.score for fold in real.fold_scores))


@pytest.mark.parametrize("name", TABLES)
def test_every_page_works_on(name: str, signed_in: Page, alice, tmp_path: Path, picture):
    table = TABLES[name]
    cache.clear()
    experiment, other = made(alice, table, tmp_path)
    case = Case(signed_in, table, experiment, other, picture)
    the_trial(case)
    the_diagnosis(case)
    the_comparisons(case)
    pages_of_the_search(case)
    if name in VERY_LONG:
        fill(experiment, VERY_MANY, families=MADE_UP, scale=scale_of(experiment))
        Experiment.objects.filter(id=experiment.id).update(version=F("version") + 1)
        pages_of_the_search(case)


def pages_of_the_search(case: Case) -> None:
    the_board(case)
    the_end(case)
    the_dials(case)
    the_sweeps(case)
    the_course_of_the_search(case)
    what_mattered(case)


def the_board(case: Case) -> None:
    """While it runs a new best row comes by itself; the board is sorted, searched and opened meanwhile."""
    page, experiment = case.page, case.experiment
    Experiment.objects.filter(id=experiment.id).update(state="running", finished_at=None)
    running = TrialFactory(
        experiment=experiment, number=90_000, family="catboost", state="running", origin="search"
    )
    count = experiment.trials.filter(state="complete").count() + experiment.ensembles.count()
    with page.expect_response(lambda answer: "/board/" in answer.url):
        case.go("experiment", experiment.id)
    expect(page.locator("#board-count")).to_contain_text(f"{count:,} ranked")
    expect(page.locator("#at-work-box")).to_contain_text("CatBoost #90000")
    expect(page.locator("#worth .worth")).to_contain_text("Was tuning worth it?")
    best = best_real(experiment)[0].score
    tell(running, best + 0.5 * (best - scale_of(experiment).guessing))
    Experiment.objects.filter(id=experiment.id).update(version=F("version") + 1)
    rows = page.locator("tr[id^=row-]")
    expect(rows.first).to_contain_text("CatBoost #90000")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Fit")
    trial = trial_name(curved(experiment))
    page.get_by_placeholder("Find a trial").fill(trial)
    expect(page.locator("#board-clear")).to_be_visible()
    expect(rows.first).to_contain_text(trial)
    page.get_by_role("button", name=f"Details of {trial}", exact=True).click()
    expect(page.locator("tr.opened")).to_contain_text("learning rate")
    case.looks_right("board")
    running.delete()
    Experiment.objects.filter(id=experiment.id).update(state="complete", version=F("version") + 1)


def the_end(case: Case) -> None:
    """What the search has found, and what tuning was worth."""
    page = case.page
    case.go("experiment", case.experiment.id)
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#worth .worth")).to_contain_text("Was tuning worth it?")
    if case.table.task_type == "regression":
        assert not NEGATIVE.search(page.locator("#answer").inner_text())
    case.looks_right("experiment")


def the_dials(case: Case) -> None:
    """What is to be expected follows the dials."""
    page = case.page
    case.go("dials", case.experiment.id)
    page.get_by_role("link", name="LightGBM").first.click()
    told = page.locator("#preview .figure strong")
    before = told.inner_text()
    page.get_by_role("slider", name="Learning rate, slider").focus()
    page.keyboard.press("End")
    expect(told).not_to_have_text(before)
    expect(page.locator("#preview")).to_contain_text("Unlikely to beat")
    if case.table.task_type == "regression":
        assert not NEGATIVE.search(told.inner_text())
    page.get_by_role("spinbutton", name="Leaves of a tree").fill("99999")
    expect(page.locator("#preview .error")).to_contain_text("99999")
    page.get_by_role("button", name="Reset all").click()
    expect(told).to_be_visible()
    case.looks_right("dials")


def the_sweeps(case: Case) -> None:
    """The number of trials is told before, and a map of two dials after."""
    page = case.page
    case.go("sweeps", case.experiment.id, "?family=lightgbm")
    page.get_by_role("checkbox", name="Learning rate").check()
    expect(page.locator("#count .figure strong")).to_have_text("5")
    expect(page.locator("#count")).to_contain_text("Takes about")
    sweep = case.experiment.sweeps.first() or swept(case.experiment)
    case.go("sweeps", case.experiment.id, f"?sweep={sweep.id}")
    expect(page.locator(".heatmap.wide .cell.top")).to_have_count(1)
    case.looks_right("sweeps")


def swept(experiment: Experiment) -> Sweep:
    """A sweep of two dials that has ended, of a family that has no other trials."""
    Experiment.objects.filter(id=experiment.id).update(max_trials=None)
    grid = {"learning_rate": [0.02, 0.05, 0.1], "max_depth": [3, 6, 9]}
    added = add_sweep(experiment, family="xgboost", grid=grid)
    scale = scale_of(experiment)
    for place, trial in enumerate(added.trials):
        tell(trial, scale.good - (scale.good - scale.guessing) * 0.04 * (1 + place % 3 + place // 3))
    Experiment.objects.filter(id=experiment.id).update(state="complete")
    return added.sweep


def tell(trial: Trial, score: float) -> None:
    value = METRICS[trial.experiment.metric].score_of(score)
    Trial.objects.filter(id=trial.id).update(state="complete", score=score, value=value)


def the_course_of_the_search(case: Case) -> None:
    """Who had the time, what was dropped, how the best score rose."""
    page = case.page
    case.go("search", case.experiment.id)
    expect(page.locator(".shares.wide path").first).to_be_visible()
    for heading in ("Who had the time", "What was dropped, and when", "Best score over time"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.locator("#latest-box tbody tr").first).to_be_visible()
    case.looks_right("search")


def what_mattered(case: Case) -> None:
    """The dial that the made-up scores follow is found, and where it ruins the result."""
    page = case.page
    case.go("insight", case.experiment.id, "?family=lightgbm")
    decided = page.locator("table.ranked tbody tr:not(.faint) th")
    expect(decided.filter(has_text="learning rate")).to_be_visible()
    ruins = page.get_by_text("usually ruins the result").or_(page.get_by_text("has always ruined"))
    expect(ruins.first).to_be_visible()
    expect(page.get_by_role("heading", name="Where the best agree")).to_be_visible()
    expect(page.locator("svg.parallel polyline").first).to_be_attached()
    page.locator("#table-of-learning_rate").click()
    expect(page.locator("#table-learning_rate tbody tr").first).to_be_visible()
    case.looks_right("insight")


def the_trial(case: Case) -> None:
    """A real fit: what was set, what was found, how it learned, and in words how that went."""
    page, trial = case.page, curved(case.experiment)
    case.go("trial", trial.id)
    expect(page.locator(".part.before tbody tr").first).to_contain_text("Learning rate")
    expect(page.locator(".part.after .ranked tbody tr").first).to_be_visible()
    expect(page.locator("#diagnosis strong")).to_be_visible()
    page.locator("#curve-summary").click()
    expect(page.locator("#curve-table tbody tr").first).to_be_visible()
    page.locator("#fold-summary").click()
    expect(page.locator("#fold-box tbody tr")).to_have_count(len(trial.fold_scores))
    case.looks_right("trial")


def the_diagnosis(case: Case) -> None:
    """Each part of what a real model gets right and wrong; the threshold where there is one."""
    page, task = case.page, case.table.task_type
    case.go("trial_diagnostics", curved(case.experiment).id)
    for part in PARTS[task]:
        page.locator(f"#part-{part}").scroll_into_view_if_needed()
        expect(page.locator(f"#part-{part} table").first).to_be_attached()
    if task == "binary":
        the_threshold(page.locator("#part-threshold"))
    if task == "multiclass":
        classes = case.experiment.prepared["classes"]
        expect(page.locator("#part-mistakes .matrix .name")).to_have_count(2 * len(classes))
    if task == "regression":
        assert not NEGATIVE.search(page.locator("dl.facts .main").first.inner_text())
    expect(page.locator("#part-importance tbody tr").first).to_be_attached()
    expect(page.locator("#part-importance")).to_contain_text("gets worse by")
    expect(page.locator("#part-dependence svg.figure").first).to_be_attached()
    expect(page.locator("#part-rows tbody tr").first).to_be_attached()
    page.evaluate("window.scrollTo(0, 0)")
    case.looks_right("diagnostics")


def the_threshold(part: Locator) -> None:
    """The counts follow the slider: from the lowest threshold on every row is called positive."""
    slider = part.locator("#at")
    slider.press("Home")
    expect(part.locator("[data-show=fn]")).to_have_text("0")
    expect(part.locator("[data-show=tn]")).to_have_text("0")
    found = part.locator("[data-show=tp]").inner_text()
    slider.press("End")
    expect(part.locator("[data-show=tp]")).not_to_have_text(found)
    part.get_by_label("A miss costs").fill("5")
    part.get_by_role("button", name="Go there").click()
    expect(part.locator("output[data-show=threshold]")).to_have_text(
        part.locator("[data-show=best]").inner_text()
    )


def the_comparisons(case: Case) -> None:
    """Three real models row by row, and the answers of two searches."""
    page = case.page
    asked = "&".join(f"trial={trial.id}" for trial in best_real(case.experiment)[:3])
    case.go("compare", case.experiment.id, f"?{asked}")
    expect(page.locator(".verdicts li")).to_have_count(3)
    expect(page.get_by_role("heading", name="Where they disagree most")).to_be_visible()
    case.looks_right("compare")
    both = f"?experiment={case.experiment.id}&experiment={case.other.id}"
    case.go("compare_experiments", None, both)
    expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
    expect(page.locator("#comparison")).to_contain_text(re.compile("tied|is better than"))
    expect(page.get_by_role("heading", name="Best score over time")).to_be_visible()
    case.looks_right("compare-experiments")
