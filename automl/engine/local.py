"""The search on this machine's own seats: threads that ask a study and have its trials fitted."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.engine.budget import Budget, most_bytes
from automl.engine.errors import UserError
from automl.engine.evaluation import read_bases
from automl.engine.isolation import Limits, Outcome, Seat, plan_seats
from automl.engine.isolation.pool import lent_seats
from automl.engine.learners import LEARNERS, check_offered, stacks
from automl.engine.preparation import open_prepared
from automl.engine.reasons import why_nothing
from automl.engine.stacking import choose_bases
from automl.engine.study import Search, Study
from automl.engine.trial import Origin, Params, TrialRecord, TrialState

# Blending may use what is left of the budget, and this much where little is left.
LEAST_BLEND_SECONDS = 5.0
# Reading the table is part of the budget, and so is a first search's wait for cold seats; but no
# more than this share of it, or a short one would end before its first trial.
WARM_SHARE = 0.25
ENSEMBLE = "Ensemble"


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What a search may do.

    Attributes
    ----------
    budget : Budget
        Seconds count from the making of the `LocalSearch`; see `WARM_SHARE`.
    families : sequence of str or None
    search : {"auto", "random", "grid"}
    seats : int or None
        None: as many as the machine has.
    ensemble : bool
    seed : int
    say : callable
        Told of every trial that has ended.
    """

    budget: Budget
    families: Sequence[str] | None = None
    search: Search = "auto"
    seats: int | None = None
    ensemble: bool = True
    seed: int = 0
    say: Callable[[str], object] = lambda line: None


@dataclass
class LocalTrial:
    """A trial and the folder of its models and predictions."""

    number: int
    family: str
    params: Params
    origin: Origin
    folder: Path
    state: TrialState = TrialState.RUNNING
    fold_scores: tuple[float, ...] = ()
    seconds: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def name(self) -> str:
        """What people call the trial."""
        return f"{LEARNERS[self.family].label} #{self.number}"

    def record(self) -> TrialRecord:
        """Give the trial as the study sees it."""
        return TrialRecord(
            number=self.number,
            family=self.family,
            params=self.params,
            origin=self.origin,
            state=self.state,
            score=self.result.get("score"),
            fold_scores=self.fold_scores,
            seconds=self.seconds,
        )

    def candidate(self, weight: float = 1.0, power: float = 0.0) -> dict[str, Any]:
        """Give the trial as jobs know it."""
        return {
            "id": str(self.number),
            "number": self.number,
            "family": self.family,
            "params": dict(self.params),
            "dir": str(self.folder),
            "score": self.result["score"],
            "seconds": self.result["predict_time"],
            "size": self.result["size"],
            "weight": weight,
            "power": power,
        }


class LocalSearch:
    """Prepare, try configurations until the budget ends, blend.

    Parameters
    ----------
    settings : SearchSettings
    work : Path
        An empty folder, for everything that trials leave behind.

    Attributes
    ----------
    trials : list of LocalTrial
        By number; pruned and failed ones too.
    weights : dict of int to float
        The members of the final model, by number of trial. They sum to 1, but for those of numbers that
        were corrected, of which some may be negative.
    powers : dict of int to float
        Of the members whose probabilities the mean is multiplied by, see `automl.engine.inference.combine`.
    ensemble : dict or None
        Score and interval of the ensemble, if there is one.
    """

    def __init__(self, settings: SearchSettings, work: Path) -> None:
        self.settings = settings
        self.work = work
        self.trials: list[LocalTrial] = []
        self.weights: dict[int, float] = {}
        self.powers: dict[int, float] = {}
        self.ensemble: dict[str, Any] | None = None
        self.meta: dict[str, Any] = {}
        self._tied: set[int] = set()
        self._began = time.monotonic()
        self._is_clock_started = False
        self._working = 0
        self._plan = plan_seats(seats=settings.seats)
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    @property
    def prepared(self) -> Path:
        """The folder of the encoded table."""
        return self.work / "prepared"

    @property
    def honest(self) -> Path:
        """The folder of the predictions that an ensemble is judged by; there is none without one."""
        return self.work / "ensemble"

    @property
    def elapsed(self) -> float:
        """Seconds of the budget that are spent."""
        return time.monotonic() - self._began

    def run(self, prepare: Callable[[Path], dict[str, Any]]) -> None:
        """Search.

        Parameters
        ----------
        prepare : callable
            Writes the encoded table into a folder and gives what `meta.json` holds.

        Raises
        ------
        UserError
            If the table can't be used, or no model was finished.
        """
        with lent_seats(self._plan.seats, self._plan.threads) as seats:
            self.meta = prepare(self.prepared)
            settings = self.settings
            profile = open_prepared(self.prepared).profile
            check_offered(settings.families or (), profile.task_type)
            self.study = Study(
                profile,
                families=settings.families,
                search=settings.search,
                seed=settings.seed,
                budget=settings.budget,
                folds=self.meta["folds"] * self.meta["repeats"],
                repeats=self.meta["repeats"],
            )
            self._try_all(seats)
            self._choose(seats[0])
        kept = {Path(part["dir"]) for member in self.members() for part in (member, *read_bases(member))}
        for trial in self.trials:
            if trial.folder not in kept:
                shutil.rmtree(trial.folder, ignore_errors=True)

    def _try_all(self, seats: Sequence[Seat]) -> None:
        self._working = len(seats)
        for seat in seats:
            threading.Thread(target=self._work, args=(seat,), daemon=True).start()
        # Not Thread.join: interrupted once, it takes a running thread for one that has ended (bpo-45274).
        with self._changed:
            try:
                self._changed.wait_for(lambda: self._working == 0)
            except BaseException as error:
                self._failure = error  # Ctrl-C: the fits are killed at their next tick
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._working == 0)
                raise
        if self._failure is not None:
            raise self._failure

    def _work(self, seat: Seat) -> None:
        try:
            seat.warm_up(lambda _: self._failure is None)
            self._start_clock()
            while (trial := self._next()) is not None:
                self._evaluate(trial, seat)
        except BaseException as error:  # noqa: BLE001, RUF100 - raised again by the thread that waits
            self._failure = error
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _start_clock(self) -> None:
        """Charge what came before the first trial, up to a share of the budget."""
        seconds = self.settings.budget.seconds
        with self._changed:
            if seconds is not None and not self._is_clock_started:
                self._began = time.monotonic() - min(self.elapsed, WARM_SHARE * seconds)
            self._is_clock_started = True

    def _next(self) -> LocalTrial | None:
        """Start the next trial; None when there is none to come."""
        budget = self.settings.budget
        with self._changed:
            while self._failure is None:
                remaining = budget.remaining(self.elapsed)
                if remaining is not None and remaining <= 0:
                    return None
                history = [trial.record() for trial in self.trials]
                for found in self.study.ask(history, count=1, remaining=remaining):
                    number = len(self.trials)
                    folder = self.work / f"trial-{number}"
                    trial = LocalTrial(number, found.family, found.params, found.origin, folder)
                    self.trials.append(trial)
                    return trial
                if all(record.state.is_final for record in history):
                    return None
                self._changed.wait(1.0)  # what runs now decides what comes next
        return None

    def _evaluate(self, trial: LocalTrial, seat: Seat) -> None:
        began = time.monotonic()
        budget, grace = self.settings.budget, 0.0

        def on_report(report: dict[str, Any]) -> str:
            nonlocal grace
            if report.get("event") != "fold":
                return "go"
            if report["fold"] + 1 >= report["folds"]:
                grace = budget.grace
            with self._changed:
                trial.fold_scores = (*trial.fold_scores, report["score"])
                trial.seconds = time.monotonic() - began
                history = [other.record() for other in self.trials]
                return "stop" if self.study.should_prune(trial.record(), history) else "go"

        args = {
            "prepared": str(self.prepared),
            "family": trial.family,
            "params": dict(trial.params),
            "seed": self.study.next_seed(trial.number),
            "metric": self.meta["metric"],
            "threads": budget.threads(self._plan.threads),
            "out": str(trial.folder),
            "deadline_seconds": budget.remaining(self.elapsed),
            "bases": self._bases(trial),
        }
        outcome = seat.run(
            "automl.engine.jobs:evaluate",
            args,
            limits=Limits(memory_bytes=self._plan.memory_bytes),
            on_report=on_report,
            # Not a limit in seconds: the clock of the budget runs while a server is still warming up.
            on_tick=lambda _: self._failure is None and budget.remaining(self.elapsed - grace) != 0,
        )
        with self._changed:
            trial.seconds = time.monotonic() - began
            self._tell(trial, outcome)
            self._changed.notify_all()
        value = trial.result.get("value")
        score = f"{self.meta['metric']} {value:.5g}" if value is not None else trial.error
        self.settings.say(f"{self.elapsed:7.1f} s  {trial.name:32} {trial.state.value:9} {score}")

    def _bases(self, trial: LocalTrial) -> list[dict[str, Any]]:
        if not stacks(trial.family):
            return []
        with self._changed:
            history = self.study.known_to(trial.record(), [other.record() for other in self.trials])
            known = [self.trials[record.number] for record in history]
            complete = [other.candidate() for other in known if other.state is TrialState.COMPLETE]
        return [dict(base) for base in choose_bases(complete, most_bytes(self.settings.budget.seconds_alone))]

    def _tell(self, trial: LocalTrial, outcome: Outcome) -> None:
        trial.error = outcome.error
        if outcome.status == "ok" and outcome.result is not None:
            trial.state, trial.result = TrialState.COMPLETE, outcome.result
            trial.fold_scores = tuple(outcome.result["fold_scores"])
        elif outcome.status == "stopped":
            trial.state = TrialState.PRUNED
            trial.error = "Stopped early: its first folds showed that it could not win."
        elif outcome.status == "cancelled":
            trial.state = TrialState.CANCELLED
            trial.error = "The time budget ended before this trial did."
        else:
            trial.state = TrialState.FAILED
            trial.error = outcome.error or "The fit ended without a word."

    def _choose(self, seat: Seat) -> None:
        """Find the weights of the final model: the ensemble's, or all on the best trial."""
        complete = self._ranked()
        if not complete:
            raise UserError(self._why_nothing())
        # What holds rows of the table can't be shipped, and the model here is the one that `save` writes.
        usable = [trial for trial in complete if not LEARNERS[trial.family].keeps_rows] or complete
        self.weights = {usable[0].number: 1.0}
        if not self.settings.ensemble or len(complete) < 2:
            return
        seconds = self.settings.budget.seconds
        left = None if seconds is None else max(seconds - self.elapsed, LEAST_BLEND_SECONDS)
        outcome = seat.run(
            "automl.engine.jobs:blend",
            {
                "prepared": str(self.prepared),
                "metric": self.meta["metric"],
                "seed": self.settings.seed,
                "trials": [trial.candidate() for trial in complete],
                "memory_bytes": self._plan.memory_bytes,
                "time_budget": self.settings.budget.seconds_alone,
                "out": str(self.honest),
            },
            limits=Limits(left, self._plan.memory_bytes),
        )
        found = outcome.result
        if found is None:
            self.settings.say(f"No ensemble: {outcome.error}")
            return
        self._tied = {int(number) for number in found["tied"]}
        if found["weights"]:
            self.weights = {int(number): weight for number, weight in found["weights"].items()}
            self.powers = {int(number): power for number, power in found["powers"].items()}
            self.ensemble = found

    def _ranked(self) -> list[LocalTrial]:
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return sorted(complete, key=lambda trial: (-trial.result["score"], trial.number))

    def _why_nothing(self) -> str:
        failed = [trial for trial in self.trials if trial.state is TrialState.FAILED]
        if failed:
            return f"No model could be fitted. The first to fail was {failed[0].name}: {failed[0].error}"
        if nothing := why_nothing(self.study):
            return nothing
        seconds = self.settings.budget.seconds
        if seconds is not None:
            return f"No model was finished within a time_budget of {seconds:g} s; give it more."
        return "No model was tried; raise max_trials, or name more families."

    def members(self) -> list[dict[str, Any]]:
        """Give the members of the final model, as jobs know them."""
        return [
            self.trials[number].candidate(weight, self.powers.get(number, 0.0))
            for number, weight in self.weights.items()
        ]

    def board(self) -> list[dict[str, Any]]:
        """Give the leaderboard, best first: complete trials and the ensemble; equal scores share a rank."""
        ranked = self._ranked()
        rows = [self._row(trial) for trial in ranked]
        if self.ensemble is not None:
            found = self.ensemble
            own = [self.trials[number].result for number in self.weights]
            ensemble = {
                "trial": None,
                "name": ENSEMBLE,
                "family": "ensemble",
                "origin": Origin.ENSEMBLE.value,
                "score": found["value"],
                "score_low": found["score_low"],
                "score_high": found["score_high"],
                "fit_time": sum(result["fit_time"] for result in own),
                "predict_time": found["predict_time"],
                "size": found["size"],
                "hyperparameters": {},
            }
            better = sum(trial.result["score"] > found["score"] for trial in ranked)
            rows.insert(better, ensemble)
        rank, before = 0, None
        for position, row in enumerate(rows, start=1):
            if row["score"] != before:
                rank, before = position, row["score"]
            row["rank"] = rank
            row["tied_with_best"] = position == 1 or row["trial"] in self._tied
        return rows

    def _row(self, trial: LocalTrial) -> dict[str, Any]:
        result = trial.result
        return {
            "trial": trial.number,
            "name": trial.name,
            "family": trial.family,
            "origin": trial.origin.value,
            "score": result["value"],
            **{k: result[k] for k in ("score_low", "score_high", "fit_time", "predict_time", "size")},
            "hyperparameters": dict(trial.params),
        }
