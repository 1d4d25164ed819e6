"""Every pruner passes the suite; here too is what each of them promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl.engine.pruners import HalvingPruner, MedianPruner, NoPruner
from automl.engine.testing import PrunerSuite
from automl.engine.trial import Origin, TrialRecord, TrialState


class TestNone(PrunerSuite):
    pruner = NoPruner()

    def test_it_stops_nothing(self) -> None:
        assert not self.pruner.should_prune(self.running(-9.0, -9.0), self.field())


class TestMedian(PrunerSuite):
    pruner = MedianPruner()

    def test_what_is_below_the_median_stops(self) -> None:
        # On their first fold the ten have 0.780 to 0.789.
        assert self.pruner.should_prune(self.running(0.784), self.field())
        assert not self.pruner.should_prune(self.running(0.785), self.field())


class TestHalving(PrunerSuite):
    pruner = HalvingPruner()

    def noisy_field(self) -> list:
        """The ten, but each with its own ups and downs of about 0.004 over the folds."""
        ups = [(0.004, -0.004, 0.0, 0.004, -0.004), (-0.004, 0.0, 0.004, -0.004, 0.004)]
        return [
            replace(
                r, fold_scores=tuple(s + u for s, u in zip(r.fold_scores, ups[r.number % 2], strict=True))
            )
            for r in self.field()
        ]

    def test_the_hopeless_stops_after_one_fold(self) -> None:
        assert self.pruner.should_prune(self.running(0.6), self.noisy_field())

    def test_what_is_behind_by_less_than_the_noise_goes_on(self) -> None:
        assert not self.pruner.should_prune(self.running(0.775), self.noisy_field())

    def test_the_margin_shrinks_with_every_fold(self) -> None:
        behind = 0.012
        field = self.noisy_field()
        worst = [min(r.fold_scores[fold] for r in field) for fold in range(5)]
        stopped = [
            self.pruner.should_prune(self.running(*(s - behind for s in worst[:folds])), field)
            for folds in (1, 4)
        ]
        assert stopped == [False, True]

    def test_scores_are_compared_on_the_same_folds(self) -> None:
        # Its first fold is the hardest one: 0.78 there is as good as 0.80 over all.
        assert not self.pruner.should_prune(self.running(0.781), self.noisy_field())

    def test_a_family_may_be_further_behind_on_the_first_fold_it_ever_has(self) -> None:
        field = self.noisy_field()
        mark = self.pruner.mark(self.running(0.7), field)
        behind = mark.level - 2 * mark.margin
        trial = replace(self.running(behind, origin=Origin.DEFAULT), family="other")
        assert self.pruner.should_prune(replace(trial, family="plain"), field)
        assert not self.pruner.should_prune(trial, field)
        # That is for bad luck with one fold; as far behind as this is none.
        assert self.pruner.should_prune(replace(trial, fold_scores=(behind, behind)), field)
        assert self.pruner.should_prune(replace(trial, fold_scores=(0.6,)), field)

    def test_leaders_that_are_all_alike_do_not_end_a_family_after_one_fold(self) -> None:
        field = self.field()
        level = min(record.fold_scores[0] for record in field)
        trial = replace(self.running(level - 0.01, origin=Origin.DEFAULT), family="other")
        assert self.pruner.should_prune(replace(trial, family="plain"), field)
        assert not self.pruner.should_prune(trial, field)
        assert self.pruner.should_prune(replace(trial, fold_scores=(level - 0.1,)), field)

    def test_the_baseline_does_not_start_the_race(self) -> None:
        baseline = replace(self.field()[0], number=0, family="dummy", score=0.5, fold_scores=(0.5,) * 5)
        assert not self.pruner.should_prune(self.running(0.1), [baseline, *self.field()[1:4]])
        assert self.pruner.should_prune(self.running(0.1), [baseline, *self.field()[1:5]])

    def test_nobody_is_saved_by_being_better_than_the_baseline(self) -> None:
        baseline = replace(self.field()[0], number=0, family="dummy", score=0.5, fold_scores=(0.5,) * 5)
        leaders = [baseline, *self.noisy_field()[1:6]]
        assert self.pruner.should_prune(self.running(0.6), leaders)


def test_the_median_gives_the_first_default_of_a_family_a_second_fold() -> None:
    suite = TestMedian()
    trial = replace(suite.running(0.1, origin=Origin.DEFAULT), family="other")
    assert not suite.pruner.should_prune(trial, suite.field())
    assert suite.pruner.should_prune(replace(trial, fold_scores=(0.1, 0.1)), suite.field())
    # The family "plain" has been seen: its later defaults race like anybody.
    assert suite.pruner.should_prune(replace(trial, family="plain"), suite.field())


def test_few_folds_understate_how_much_trials_differ() -> None:
    rng = np.random.default_rng(0)

    def margin(folds: int) -> float:
        """The median margin of fields whose trials differ by chance alone."""
        found = []
        for _ in range(300):
            field = [
                TrialRecord(
                    n, "tree", {"n": n}, state=TrialState.COMPLETE, score=0.8, fold_scores=tuple(scores)
                )
                for n, scores in enumerate(rng.normal(0.8, 0.01, (8, folds)))
            ]
            running = TrialRecord(9, "tree", {"n": 9}, state=TrialState.RUNNING, fold_scores=(0.8,))
            mark = HalvingPruner().mark(running, field)
            assert mark is not None
            found.append(mark.margin)
        return float(np.median(found))

    usual = margin(5)
    assert margin(2) == pytest.approx(usual, rel=0.15)
    assert margin(3) == pytest.approx(usual, rel=0.1)
