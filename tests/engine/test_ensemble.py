from dataclasses import replace

import numpy as np
import pytest

from automl.engine.budget import MOST_BYTES, most_bytes
from automl.engine.calibration import fit_temperature
from automl.engine.ensemble import CHOOSING_ROWS, MOST_CELLS, Blend, _deal, _Task, blend
from automl.engine.inference import combine
from automl.engine.metrics import METRICS
from automl.engine.room import Room
from automl.engine.selection import (
    MOST_MEMBERS,
    _found,
    _halves,
    _limited,
    choose_weights,
    levelled,
    loss_of,
    most_members,
    thin,
)


def alone(sizes):
    """Parts of candidates that have nothing in common."""
    return [{place: size} for place, size in enumerate(sizes)]


def room_of(parts, seconds=None):
    return Room.of(parts, most_members(seconds), most_bytes(seconds))


def test_members_together_are_no_larger_than_a_bundle_may_be():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]
    large, small = MOST_BYTES // 2 - 1, 1

    free = blend(METRICS["rmse"], y, candidates, room=room_of(alone([small] * 6)))
    limited = blend(METRICS["rmse"], y, candidates, room=room_of(alone([large] * 5 + [small])))

    assert sum(weight > 0 for weight in free.weights) > 3
    assert 1 <= sum(weight > 0 for weight in limited.weights[:5]) <= 2


def test_what_members_have_in_common_takes_its_room_once():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(4)]
    shared, own = MOST_BYTES - 4, 1
    parts = [{"shared": shared}, *({"shared": shared, place: own} for place in range(3))]

    found = blend(METRICS["rmse"], y, candidates, room=room_of(parts))

    assert all(weight > 0 for weight in found.weights)


@pytest.mark.parametrize("name", ["rmse", "log_loss"])
def test_an_ensemble_without_those_that_learned_from_others_is_taken_where_it_is_better(name):
    """The stacked one is the best alone, but of what the others err by it has a lot in common with itself."""
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 3_000) if name == "rmse" else chance.integers(0, 2, 3_000)
    stacked = [y + 0.8 * chance.normal(0, 1, 3_000)]
    others = [y + chance.normal(0, 1, 3_000) for _ in range(6)]
    candidates = stacked + others
    if name == "log_loss":
        views = [1 / (1 + np.exp(-(2.0 * view - 1.0))) for view in candidates]
        candidates = [np.column_stack([1 - view, view]) for view in views]
    # What it is based on leaves no room for anybody else.
    parts = [{"bases": MOST_BYTES}, *alone([MOST_BYTES // 8] * 6)]
    families = ["stacked_network", *["lightgbm"] * 6]

    whole = blend(METRICS[name], y, candidates, room=room_of(parts))
    found = blend(METRICS[name], y, candidates, room=room_of(parts), families=families)

    metric = METRICS[name]
    assert np.flatnonzero(whole.weights).tolist() == [0]
    assert found.weights[0] == 0 and sum(weight != 0 for weight in found.weights) > 3
    assert metric.score(y, found.honest) > metric.score(y, whole.honest)
    np.testing.assert_array_equal(found.honest_best, whole.honest_best)
    # Where it is better with it, nothing changes.
    assert blend(METRICS[name], y, candidates[:3], families=families[:3]).weights[0] > 0


@pytest.mark.parametrize("best_first", [False, True])
def test_rows_are_ordered_as_by_a_stable_sort_of_their_probabilities(best_first):
    chance = np.random.default_rng(0)
    y = chance.integers(0, 2, 400)
    # Many are equal, and some are nothing or certain.
    views = np.round(chance.random((3, 400)), 2).astype(np.float32)

    found = _found(y, views, best_first=best_first)

    order = np.argsort(-views if best_first else views, axis=1, kind="stable")
    assert np.array_equal(found, (y == 1)[order])


@pytest.mark.parametrize("is_corrected", [True, False])
def test_what_an_ensemble_is_judged_by_is_on_one_scale_corrected_or_not(monkeypatch, is_corrected):
    """Of two blends one may be corrected: an area under the curve ranks the rows of both together."""
    chance = np.random.default_rng(0)
    y = chance.integers(0, 2, 3_000)
    views = [1 / (1 + np.exp(-6.0 * (2 * y - 1 + chance.normal(0, 2, 3_000)))) for _ in range(3)]
    monkeypatch.setattr("automl.engine.ensemble._is_worth_it", lambda *_: is_corrected)

    found = blend(METRICS["roc_auc"], y, [np.column_stack([1 - view, view]) for view in views])

    # They are far too sure, all of them.
    assert fit_temperature(y, np.column_stack([1 - views[0], views[0]])) > 2
    assert fit_temperature(y, found.honest) == pytest.approx(1, abs=0.1)


def test_rows_are_not_judged_by_a_choice_of_ensemble_that_they_took_part_in():
    y = np.arange(500.0)
    task = _Task(METRICS["rmse"], y, 0)
    judge = _deal(y, np.random.default_rng([0, 0xB1E4D]))
    # The one is far better on the rows of one judge, and a little worse on all others.
    near = Blend((1.0, 0.0), (0.0, 0.0), np.where(judge == 2, y + 9.0, y + 1.0), y)
    even = Blend((0.0, 1.0), (0.0, 0.0), y + 2.0, y)

    found = task.better(near, even)

    assert found.weights == even.weights
    # Without its rows nothing speaks for the other one.
    assert np.array_equal(found.honest, np.where(judge == 2, near.honest, even.honest))


def test_the_best_alone_is_not_worse_for_being_another_one_to_each_judge():
    metric, chance = METRICS["roc_auc"], np.random.default_rng(1)
    y = chance.integers(0, 2, 2_500)
    # Two as good as each other, of which one is twenty times as sure.
    logits = [how_sure * (0.65 * (2 * y - 1) + chance.normal(0, 1, len(y))) for how_sure in (6.0, 0.3)]
    candidates = [np.column_stack([1 - p, p]) for p in (1 / (1 + np.exp(-each)) for each in logits)]

    found = blend(metric, y, candidates, seed=1)

    worse = min(metric.value(y, candidate) for candidate in candidates)
    assert metric.value(y, found.honest_best) > worse - 0.01


def test_the_best_candidate_joins_whatever_its_size():
    y = np.arange(100.0)

    found = blend(METRICS["rmse"], y, [y + 0.1, y[::-1] * 1.0], room=room_of(alone([MOST_BYTES * 2, 1])))

    assert found.weights == (1.0, 0.0)


def test_among_noise_an_honest_score_promises_nothing():
    """Weights fitted to 60 rows of noise look good on these rows; the honest score must not."""
    gains, promised = [], []
    for seed in range(8):
        chance = np.random.default_rng(seed)
        y = chance.integers(0, 2, 60)
        views = [chance.random(60) for _ in range(20)]
        candidates = sorted(
            (np.column_stack([1 - view, view]) for view in views),
            key=lambda p: -METRICS["roc_auc"].value(y, p),
        )
        found = blend(METRICS["roc_auc"], y, candidates, seed=seed)
        gains.append(METRICS["roc_auc"].value(y, combine(candidates, found.weights, found.powers)))
        promised.append(METRICS["roc_auc"].value(y, found.honest))

    assert np.mean(gains) > 0.7
    assert np.mean(promised) < 0.6


def test_on_few_rows_many_members_share_the_weight_and_err_less_on_new_rows():
    """Halves disagree about which of equal candidates is best: their mean does not follow the noise."""
    metric = METRICS["roc_auc"]
    better = []
    for seed in range(10):
        chance = np.random.default_rng(seed)
        y, new = chance.integers(0, 2, 300), chance.integers(0, 2, 20_000)
        candidates, later = [], []
        for _ in range(20):
            for truth, found in ((y, candidates), (new, later)):
                view = 1 / (1 + np.exp(-(0.7 * (2 * truth - 1) + chance.normal(0, 1.5, len(truth)))))
                found.append(np.column_stack([1 - view, view]))
        weights = {}
        for few in (True, False):
            loss = loss_of(metric)
            weights[few] = choose_weights(
                loss,
                y,
                loss.view(np.stack(candidates), y),
                room=Room.unlimited(20, MOST_MEMBERS if few else 8),
                families=None,
                halved=few,
                generator=np.random.default_rng(0),
            )
        values = {
            few: metric.value(new, np.tensordot(own, np.stack(later), axes=1)) for few, own in weights.items()
        }
        better.append(values[True] - values[False])
        members = {few: int((own > 0).sum()) for few, own in weights.items()}
        assert members[False] < members[True] <= MOST_MEMBERS
    assert np.mean(better) > 0.005
    assert np.mean(np.array(better) > 0) >= 0.9


def test_a_member_that_hardly_helps_is_left_out_and_one_that_does_stays():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 5_000)
    views = np.stack([y + chance.normal(0, spread, 5_000) for spread in (1, 1, 1.2, 9)])
    views = np.concatenate([views, views[:1] + chance.normal(0, 0.2, (1, 5_000))])

    found = thin(loss_of(METRICS["rmse"]), y, views, weights=np.array([0.3, 0.3, 0.3, 0.03, 0.07]))

    assert (found > 0).tolist() == [True, True, True, False, False]
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["roc_auc", "average_precision", "log_loss", "brier", "rmse", "mae", "accuracy", "recall"]
)
def test_losses_of_many_candidates_are_those_of_the_metric(name):
    chance = np.random.default_rng(0)
    metric = METRICS[name]
    if metric.needs == "numbers":
        y = chance.normal(0, 1, 400)
        stack = np.stack([y + chance.normal(0, 1, 400) for _ in range(3)])
    else:
        y = chance.integers(0, 2, 400)
        view = chance.random((3, 400))
        stack = np.stack([1 - view, view], axis=2)
    loss = loss_of(metric)
    mean = stack.mean(axis=0)

    found = loss.of(y, loss.view(stack, y))

    assert found == pytest.approx([_as_loss(metric, y, each) for each in stack], rel=1e-5)
    seen = loss.view(stack, y).mean(axis=0)[None]
    assert loss.of(y, seen)[0] == pytest.approx(_as_loss(metric, y, mean), rel=1e-5)


def _as_loss(metric, y, prediction):
    value = metric.value(y, prediction)
    if metric.name in ("roc_auc", "average_precision"):
        return 1 - value
    if metric.name == "accuracy":
        return 1 - value + np.mean((1 - prediction[np.arange(len(y)), y]) ** 2) / len(y)
    return -metric.score_of(value)


def test_of_those_that_call_as_many_right_the_surer_is_ahead_and_a_right_call_counts_more():
    y = np.arange(400) % 2
    second = {"sure": 0.9, "doubtful": 0.55, "better": 0.55}
    stack = []
    for name, sureness in second.items():
        p = np.where(y == 1, sureness, 1 - sureness)
        wrong = slice(0, 38 if name == "better" else 40)
        p[wrong] = 1 - p[wrong]
        stack.append(np.column_stack([1 - p, p]))
    loss = loss_of(METRICS["accuracy"])

    sure, doubtful, better = loss.of(y, loss.view(np.array(stack), y))

    assert better < sure < doubtful
    assert METRICS["accuracy"].value(y, stack[0]) == METRICS["accuracy"].value(y, stack[1])


@pytest.mark.parametrize("rows", [600, 12_000])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_candidate_that_says_the_same_of_all_rows_is_not_taken_for_good_where_rows_are_sorted(rows, name):
    chance = np.random.default_rng(0)
    y = np.repeat([0, 1], rows // 2)
    view = 1 / (1 + np.exp(-(2 * y - 1 + chance.normal(0, 1, rows))))

    for truth, good in ((y, view), (y[::-1], view[::-1])):
        candidates = [np.column_stack([1 - p, p]) for p in (good, np.full(rows, 0.5))]
        found = blend(METRICS[name], truth, candidates)
        assert found.weights[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("seconds", "most"), [(None, 12), (600, 12), (40, 8), (15, 5), (2, 5)])
def test_members_are_fewer_after_a_short_search(seconds, most):
    assert most_members(seconds) == most


@pytest.mark.parametrize(("seconds", "most"), [(15.0, 5), (40.0, 8), (60.0, 12), (None, 12)])
def test_a_mean_of_many_rows_has_no_more_members_than_there_is_time_to_package(seconds, most):
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 12_000)
    candidates = [y + chance.normal(0, 1, 12_000) for _ in range(14)]

    found = blend(METRICS["rmse"], y, candidates, room=room_of(alone([1] * 14), seconds))

    assert sum(weight != 0 for weight in found.weights) == most


def test_a_bundle_gets_no_larger_than_packaging_has_memory_for():
    assert most_bytes(300.0, memory=1_200 << 20) == most_bytes(None, memory=1_200 << 20) == 300 << 20
    assert most_bytes(300.0, memory=500 << 20) == most_bytes(60.0) == 256 << 20
    assert most_bytes(300.0, memory=64 << 30) == MOST_BYTES


def test_a_long_search_may_have_a_larger_bundle():
    y = np.random.default_rng(0).normal(0, 1, 3_000)
    candidates = [y + np.random.default_rng(seed).normal(0, 1, 3_000) for seed in range(1, 6)]
    parts = alone([MOST_BYTES // 5] * 5)

    members = {
        seconds: sum(
            weight != 0
            for weight in blend(METRICS["rmse"], y, candidates, room=room_of(parts, seconds)).weights
        )
        for seconds in (60.0, 300.0)
    }

    assert members == {60.0: 3, 300.0: 5}
    assert most_bytes(None) == most_bytes(3_600.0) == MOST_BYTES > most_bytes(15.0) > 0


def test_halves_share_a_rare_class():
    y = np.zeros(4_000, dtype=int)
    y[[5, 2_000, 3_500, 3_501]] = 1

    for seed in range(20):
        for half in _halves(y, np.random.default_rng(seed)):
            assert 1 <= y[half].sum() <= 3
            assert len(half) == 2_000


def weights_of_halves(y, views):
    return choose_weights(
        loss_of(METRICS["rmse"]),
        y,
        views,
        room=Room.unlimited(len(views), 2),
        families=None,
        halved=True,
        generator=np.random.default_rng(0),
    )


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_are_enough_for_weights(rows):
    y = np.arange(rows, dtype=float)
    views = np.stack([y, y + 1])

    assert weights_of_halves(y, views).tolist() == [1, 0]


def test_members_of_halves_are_limited_in_their_mean():
    chance = np.random.default_rng(0)
    y, error = chance.normal(0, 1, 400), chance.normal(0, 1, 400)
    # The first is the best alone, and each half begins with it; the others are right together.
    views = np.stack([y + 0.9 * chance.normal(0, 1, 400), y + error, y - error])

    assert np.flatnonzero(weights_of_halves(y, views)).tolist() == [1, 2]


def test_families_weights_are_drawn_towards_equal_ones():
    drawn = levelled(np.array([0.6, 0.2, 0.2, 0.0]), np.array(["a", "a", "b", "c"]))

    assert drawn.tolist() == pytest.approx([0.4875, 0.1625, 0.35, 0.0])


@pytest.mark.parametrize(("rows", "few"), [(1_999, True), (2_000, False)])
def test_an_ensemble_of_few_rows_levels_the_families_of_its_candidates(rows, few):
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, rows)
    candidates = [y + chance.normal(0, noise, rows) for noise in (1.0, 1.0, 1.0, 1.4)]
    families = ["many", "many", "many", "one"]

    plain = blend(METRICS["rmse"], y, candidates).weights
    found = blend(METRICS["rmse"], y, candidates, families=families).weights

    assert 0 < plain[-1] < 0.4
    expected = levelled(np.array(plain), np.array(families)).tolist() if few else list(plain)
    assert list(found) == pytest.approx(expected)


def test_candidates_are_judged_alike_in_parts_and_at_once(monkeypatch):
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]
    whole = blend(METRICS["rmse"], y, candidates)
    monkeypatch.setattr("automl.engine.selection.CELLS_AT_ONCE", 1)

    assert blend(METRICS["rmse"], y, candidates).weights == whole.weights


def test_a_small_member_gets_the_place_that_large_ones_have_no_room_for():
    weights = np.array([0.2, *[0.05] * 14, 0.04, 0.06])
    room = Room.of(alone([1.0, *[MOST_BYTES] * 14, 1.0, 1.0]), 8, MOST_BYTES)

    found = _limited(weights, replace(room, members=2))

    assert np.flatnonzero(found).tolist() == [0, 16]
    assert np.flatnonzero(_limited(weights, replace(room, members=3))).tolist() == [0, 15, 16]
    assert found.sum() == pytest.approx(1)


def test_the_same_seed_gives_the_same_weights():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]

    one, other = (blend(METRICS["rmse"], y, candidates, seed=5) for _ in range(2))

    assert one.weights == other.weights
    assert sum(weight > 0 for weight in one.weights) >= 3


def drawn_for(name, y, candidates=8):
    """The rows by which an ensemble's temperature is found, and those by which its weights are."""
    rows, generator = np.arange(len(y)), np.random.default_rng(0)
    task = _Task(METRICS[name], y, 0)
    chosen = task.sample(rows, generator, candidates)
    return chosen, task.with_rare(chosen, rows, generator)


def test_an_area_is_judged_by_all_rows_of_a_rare_class_and_by_no_more_rows():
    y = (np.arange(200_000) % 500 == 0).astype(int)

    chosen, ranked = drawn_for("roc_auc", y)

    assert len(ranked) == len(chosen) == len(set(ranked)) == CHOOSING_ROWS
    assert y[ranked].sum() == y.sum() == 400 > 5 * y[chosen].sum()
    # In an order of chance.
    assert 100 < y[ranked[: CHOOSING_ROWS // 2]].sum() < 300


def test_by_other_metrics_more_rows_are_drawn_where_a_class_is_rare():
    y = (np.arange(200_000) % 500 == 0).astype(int)

    assert [len(each) for each in drawn_for("log_loss", y)] == [MOST_CELLS // 2] * 2
    assert len(drawn_for("log_loss", (np.arange(100_000) % 100 == 0).astype(int))[0]) == 50_000
    # As long as there are no more candidates than there is time for.
    assert len(drawn_for("log_loss", y, candidates=16)[0]) == 1.5 * CHOOSING_ROWS
    assert len(drawn_for("log_loss", y, candidates=48)[0]) == CHOOSING_ROWS


@pytest.mark.parametrize(("name", "classes"), [("roc_auc", 2), ("log_loss", 3), ("rmse", 9)])
def test_where_no_class_is_rare_weights_are_chosen_by_as_few_rows_as_suffice(name, classes):
    chosen, ranked = drawn_for(name, np.arange(60_000) % classes)

    assert len(chosen) == CHOOSING_ROWS and ranked is chosen
