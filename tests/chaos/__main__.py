"""`make chaos`: searches of three users while a monkey kills parts of their service.

Each search must come to what an undisturbed one of the same seed finds. Exits with 1 when one check fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos import checks
from tests.chaos.monkey import Monkey, orphans
from tests.chaos.searches import TASKS, USERS, Found, Plan, User, found_by, make_plans, write_table
from tests.postgres import Postgres
from tests.service import Service

# A kill comes when its share of the trials has ended, but not sooner or later than this after the last.
LEAST_GAP, LONGEST_GAP = 0.3, 1.2
LONGEST_RUN = 900


class Chaos:
    """One run: the undisturbed searches first, then all of them under the monkey."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        # Its own folder at the top: PostgreSQL's user must be able to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        (self.home / "tmp").mkdir(parents=True)
        self.database = Postgres(self.folder / "postgres") if options.database == "postgresql" else None
        settings = {"TMPDIR": str(self.home / "tmp"), "AUTOML_MAX_ACTIVE_EXPERIMENTS": "50", "REDIS_URL": ""}
        if self.database:
            self.database.start()
            settings["DATABASE_URL"] = self.database.url
        self.service = Service(self.home, **settings)
        self.rows: list[tuple[str, list[str], str]] = []

    def run(self) -> bool:
        try:
            self._open()
            undisturbed = self._undisturbed()
            plans = self._begin_all()
            monkey = self._disturb(list(plans))
            self._wait_for_all(plans)
            self._check(plans, undisturbed)
            self._print(monkey)
        except BaseException:
            self.say("What the logs say last:")
            print(self.service.log()[-20000:])
            raise
        finally:
            self._close()
        return not any(wrong for _, wrong, _ in self.rows)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def _open(self) -> None:
        self.service.start(within=120)
        for name in ("AUTOML_HOME", "DATABASE_URL"):
            if name in self.service.environment:
                os.environ[name] = self.service.environment[name]
        os.environ["DJANGO_SETTINGS_MODULE"] = "automl.settings"
        os.environ["LOG_LEVEL"] = "ERROR"
        import django

        django.setup()
        tables = {task: write_table(self.folder / f"{task}.csv", task) for task in TASKS}
        self.users = [User(self.service, name, tables) for name in USERS]
        chance = random.Random(self.options.seed)
        self.plans = make_plans(chance, count=self.options.experiments, trials=self.options.trials)
        self.say(f"The service is ready; its home is {self.home}.")

    def _undisturbed(self) -> dict[Plan, Found]:
        ids = {plan: self.users[0].begin(plan) for plan in self.plans}
        self._wait_for_all({id: plan for plan, id in ids.items()})
        found = {plan: found_by(id) for plan, id in ids.items()}
        bad = checks.not_final({ids[plan]: search for plan, search in found.items()})
        assert not bad, f"undisturbed searches did not end well: {bad}"
        self.say(f"{len(found)} undisturbed searches have ended.")
        return found

    def _begin_all(self) -> dict[str, Plan]:
        plans = {}
        for number in range(self.options.experiments):
            plan = self.plans[number % len(self.plans)]
            plans[self.users[number % len(self.users)].begin(plan)] = plan
        self.say(f"{len(plans)} searches have begun.")
        return plans

    def _disturb(self, ids: list[str]) -> Monkey:
        seed, kills = self.options.seed, self.options.kills
        monkey = Monkey(self.service, seed=seed, database=self.database, spare=lambda: _to_spare(ids))
        last, total = time.monotonic(), len(ids) * self.options.trials
        while sum(monkey.done.values()) < kills:
            time.sleep(0.1)
            gap = time.monotonic() - last
            due = _ended(ids) / total >= 0.9 * sum(monkey.done.values()) / kills
            if gap < LEAST_GAP or (not due and gap < LONGEST_GAP):
                continue
            with _database_may_be_away():
                if done := monkey.act():
                    last = time.monotonic()
                    if self.options.verbose:
                        self.say(done)
        self.say(f"The monkey has done {sum(monkey.done.values())} bad things.")
        return monkey

    def _wait_for_all(self, plans: dict[str, Plan]) -> None:
        from automl.experiments.models import Experiment

        end = time.monotonic() + LONGEST_RUN
        while time.monotonic() < end:
            with _database_may_be_away():
                going = Experiment.objects.filter(id__in=list(plans)).exclude(
                    state__in=["complete", "failed", "cancelled"]
                )
                if not going.exists():
                    return
            time.sleep(0.5)
        self.say(f"After {LONGEST_RUN} s not every search has ended.")

    def _check(self, plans: dict[str, Plan], undisturbed: dict[Plan, Found]) -> None:
        ids = list(plans)
        found = {id: found_by(id) for id in ids}
        trials = sum(len(search.trials) for search in found.values())
        self._row("every experiment is complete", checks.not_final(found), f"{len(ids)} experiments")
        self._row("no trial lost or counted twice", checks.lost_or_doubled(found, plans), f"{trials} trials")
        self._row("attempts at most 3", checks.too_many_attempts(ids), _losses(ids))
        self._row(
            "every leaderboard as undisturbed",
            checks.other_than_undisturbed(found, plans, undisturbed),
            f"{len(undisturbed)} undisturbed searches",
        )
        self._row("every model is whole", checks.models_that_are_not_whole(ids), f"{len(ids)} bundles")
        ready = self._is_ready_again()
        self._row("the service is ready again", [] if ready else ["it is not"], "")
        self._row("no process without a parent", orphans(self.service), "while it runs")
        self.service.stop()
        self._row("no process left", checks.processes_left(self.service), "after Ctrl-C")
        self._row("no temporary file left", checks.files_left(self.home), "drafts, dead attempts, /tmp")

    def _is_ready_again(self) -> bool:
        with contextlib.suppress(AssertionError):
            self.service.wait_for(self.service.is_ready, within=60, what="the service to be ready")
            # The sweeps that clean up have had their turn.
            time.sleep(3)
            return True
        return False

    def _row(self, what: str, wrong: list[str], of: str) -> None:
        self.rows.append((what, wrong, of))

    def _print(self, monkey: Monkey) -> None:
        options = self.options
        print(
            f"\nseed {options.seed}, {options.database}: {options.experiments} experiments of {len(USERS)} "
            f"users, {options.trials} trials each, {time.monotonic() - self.began:.0f} s"
        )
        for kind, count in sorted(monkey.done.items()):
            print(f"  {kind:<34}{count:>4}")
        print(f"  {'together':<34}{sum(monkey.done.values()):>4}")
        if monkey.spared:
            print(f"  spared, as a third loss is meant to fail a trial: {monkey.spared}")
        print()
        for what, wrong, of in self.rows:
            print(f"  {'FAILED' if wrong else 'ok':<8}{what:<36}{of}")
            for line in wrong[:10]:
                print(f"          {line}")
        print(flush=True)

    def _close(self) -> None:
        for user in getattr(self, "users", []):
            user.client.close()
        self.service.close()
        if self.database:
            self.database.kill()
        if self.options.keep or any(wrong for _, wrong, _ in self.rows):
            self.say(f"Left for a look: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def _ended(ids: list[str]) -> int:
    from automl.experiments.models import Trial

    with _database_may_be_away():
        return Trial.objects.filter(experiment__in=ids, state__in=["complete", "pruned", "failed"]).count()
    return 0


def _to_spare(ids: list[str]) -> set[str]:
    """Kinds of kills that may now be the third loss of a trial, or of an experiment's other work."""
    from automl.datasets.models import Dataset
    from automl.experiments.models import Experiment, TrainedModel, Trial

    spared: set[str] = set()
    fits = {"fit", "seat server", "pool child", "database"}
    if Trial.objects.filter(experiment__in=ids, state__in=["waiting", "running"], losses=2).exists():
        spared |= fits | {"evaluate worker"}
    unfinished = (
        Experiment.objects.filter(id__in=ids, attempt__gte=2).exclude(state="complete"),
        TrainedModel.objects.filter(experiment__in=ids, attempt__gte=2, state="packaging"),
        Dataset.objects.filter(attempt__gte=2, state="profiling"),
    )
    if any(rows.exists() for rows in unfinished):
        spared |= fits | {"short worker"}
    return spared


def _losses(ids: list[str]) -> str:
    from automl.experiments.models import Trial

    trials = Trial.objects.filter(experiment__in=ids)
    counts = [trials.filter(losses=number).count() for number in (1, 2)]
    return f"{counts[0]} trials lost once, {counts[1]} twice"


@contextlib.contextmanager
def _database_may_be_away() -> Any:
    from django.db import DatabaseError, close_old_connections

    try:
        yield
    except DatabaseError:
        close_old_connections()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--keep", action="store_true", help="leave the folder also when all is well")
    parser.add_argument("--verbose", action="store_true", help="tell every kill")
    return 0 if Chaos(parser.parse_args()).run() else 1


if __name__ == "__main__":
    sys.exit(main())
