import numpy as np
import pytest

from automl.engine import correction
from automl.engine.calibration import fit_temperature
from automl.engine.correction import correct_chances, correct_numbers
from automl.engine.ensemble import blend
from automl.engine.inference import combine, finish_probabilities, temper
from automl.engine.metrics import METRICS
from automl.engine.room import Room

PLENTY = Room.unlimited(3, 8)


def leaning_numbers(rows, seed):
    """Two good models that shrink towards the middle, and a poor one that shrinks more."""
    chance = np.random.default_rng(seed)
    y = chance.normal(0, 1, rows)
    shape = np.tanh(y)
    return y, np.stack(
        [
            0.8 * y + 0.2 * shape + chance.normal(0, 0.1, rows),
            0.8 * y + 0.2 * shape + chance.normal(0, 0.1, rows),
            shape + chance.normal(0, 0.05, rows),
        ]
    )


def leaning_chances(rows, seed, classes=3):
    """Three models that see the same signal through different noise, the last only some of it."""
    chance = np.random.default_rng(seed)
    y = chance.integers(0, classes, rows)
    signal = np.eye(classes)[y] * 2.0
    shared = chance.normal(0, 0.8, (rows, classes))
    views = [
        signal + shared + chance.normal(0, 0.3, (rows, classes)),
        signal + shared + chance.normal(0, 0.3, (rows, classes)),
        0.4 * signal + shared,
    ]
    return y, np.stack([finish_probabilities(np.exp(view)) for view in views])


def test_numbers_lose_the_lean_that_strong_models_share_with_a_weak_one():
    metric = METRICS["rmse"]
    y, candidates = leaning_numbers(4_000, 0)
    new, later = leaning_numbers(4_000, 1)

    found = blend(metric, y, candidates)

    assert found.weights[2] < -0.05 and not any(found.powers)
    best = min(metric.value(new, np.tensordot(w, later, 1)) for w in ([1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]))
    value = metric.value(new, combine(later, found.weights, found.powers))
    assert value < 0.9 * best
    assert metric.value(y, found.honest) == pytest.approx(value, rel=0.05)


def test_chances_lose_what_strong_models_share_with_a_weak_one():
    metric = METRICS["log_loss"]
    y, candidates = leaning_chances(6_000, 0)
    new, later = leaning_chances(6_000, 1)

    found = blend(metric, y, candidates)

    assert sum(found.weights) == pytest.approx(1) and min(found.weights) >= 0
    assert found.powers[2] < -0.05
    temperature = fit_temperature(y, combine(candidates, found.weights, found.powers))
    value = metric.value(new, temper(combine(later, found.weights, found.powers), temperature))
    mean = np.tensordot(found.weights, later, axes=1)
    assert value < 0.9 * metric.value(new, temper(mean, fit_temperature(new, mean)))
    assert metric.value(y, found.honest) == pytest.approx(value, rel=0.15)


def test_where_the_mean_is_all_there_is_to_know_it_stays():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 3_000)
    # Predictions as good ones are: their mean says of each row what can be expected of it.
    seen = y + chance.normal(0, 0.7, 3_000)
    known = seen * (seen @ y) / (seen @ seen)
    candidates = [known + noise for noise in chance.normal(0, 0.01, (4, 3_000))]

    found = blend(METRICS["rmse"], y, candidates)

    assert min(found.weights) >= 0 and sum(found.weights) == pytest.approx(1)


@pytest.mark.parametrize("correct", [correct_numbers, correct_chances])
def test_a_correction_adds_no_more_members_than_there_is_room_for(correct):
    y, stack = leaning_numbers(4_000, 0) if correct is correct_numbers else leaning_chances(4_000, 0)
    weights = np.array([1.0, 0.0, 0.0])

    free = correct(y, stack, weights, room=PLENTY)
    of_two = correct(y, stack, weights, room=Room.unlimited(3, 2))
    of_bytes = correct(y, stack, weights, room=Room.of([{0: 1}, {1: 1}, {2: 50}], 3, 10))

    assert np.count_nonzero(free[1:]) == 2
    assert np.count_nonzero(of_two[1:]) == 1
    assert of_bytes[1] and not of_bytes[2]


def test_a_correction_goes_without_what_frees_most_and_shared_parts_free_nothing():
    room = Room.of([{"base": 8, 0: 1}, {"base": 8}, {2: 4}, {3: 2}], 4, 10)
    everyone = np.ones(4, dtype=bool)

    assert room.with_each(np.array([True, False, False, False])).tolist() == [9, 9, 13, 11]
    assert room.is_over(everyone) and not room.is_over(np.array([True, True, False, False]))
    assert room.freed(everyone).tolist() == [1, 1, 4, 2]
    assert room.only(np.array([1, 3])).with_each(np.zeros(2, dtype=bool)).tolist() == [8, 2]


def test_a_mean_that_is_too_large_itself_is_corrected_by_nobody_else():
    y, stack = leaning_numbers(4_000, 0)

    found = correct_numbers(y, stack, np.array([0.5, 0.5, 0.0]), room=Room.of([{0: 9}, {1: 9}, {2: 9}], 3, 1))

    assert found[2] == 0


def test_chances_are_corrected_by_some_rows_where_there_are_too_many(monkeypatch):
    y, stack = leaning_chances(6_000, 0)
    weights = np.array([0.5, 0.5, 0.0])
    whole = correct_chances(y, stack, weights, room=PLENTY)
    monkeypatch.setattr(correction, "MOST_CELLS", stack.size // 2)

    some = correct_chances(y, stack, weights, room=PLENTY)

    assert not np.array_equal(some, whole)
    assert some == pytest.approx(whole, abs=0.3)


def test_the_gradient_and_the_hessian_are_those_of_the_log_loss():
    y, stack = leaning_chances(300, 0)
    weights = np.array([0.5, 0.3, 0.2])
    problem = correction._Chances(y, stack, weights)
    at = np.array([1.0, 0.1, -0.05, 0.02])

    def loss(powers):
        logs = np.tensordot(powers, problem.logs.astype(float), axes=1)
        return float(np.mean(np.log(np.exp(logs).sum(axis=1)) - logs[np.arange(len(y)), y]))

    value, gradient, hessian = problem._slope(problem.logs, problem.of_truth, at)

    small = 1e-3 * np.eye(4)
    numeric = [(loss(at + step) - loss(at - step)) / 2e-3 for step in small]
    assert value == pytest.approx(loss(at), abs=1e-5)
    assert gradient == pytest.approx(numeric, abs=1e-4)
    for place, step in enumerate(small):
        ahead, behind = (problem._slope(problem.logs, problem.of_truth, at + s * step)[1] for s in (1, -1))
        assert hessian[place] == pytest.approx((ahead - behind) / 2e-3, abs=2e-3)


def test_a_sign_that_all_members_agree_on_stays():
    members = np.array([[1.0, -1.0, 2.0, -1e-9], [9.0, -9.0, -30.0, 9.0]])

    found = combine(members, [1.2, -0.2], [0.0, 0.0])

    # The last is a zero but for the noise of adding up.
    assert found.tolist() == pytest.approx([0.0, 0.0, 8.4, 0.0], abs=1e-6)


def test_twins_that_cannot_be_told_apart_correct_nothing():
    chance = np.random.default_rng(0)
    y = 1e5 + chance.normal(0, 5, 20_000)
    one = y + chance.normal(0, 1e-4, 20_000)
    other = y + chance.normal(0, 1e-4, 20_000)

    found = blend(METRICS["rmse"], y, [one, one, other])

    fitted = combine([one, one, other], found.weights, found.powers)
    assert METRICS["rmse"].value(y, fitted) < 1e-4
    assert sum(found.weights) == pytest.approx(1, abs=1e-6)


def test_a_mean_that_has_more_members_than_there_is_room_for_keeps_no_parts_without_evidence():
    chance = np.random.default_rng(0)
    signal = chance.normal(0, 1, 3_000)
    y = signal + chance.normal(0, 1, 3_000)
    stack = signal + chance.normal(0, 0.1, (6, 3_000))

    found = correct_numbers(y, stack, np.full(6, 1 / 6), room=Room.unlimited(6, 2))

    assert np.count_nonzero(found) < 4


def test_rows_are_not_judged_by_a_choice_to_correct_that_they_took_part_in(monkeypatch):
    y, candidates = leaning_numbers(2_500, 0)

    def judged(is_worth_it):
        answer = lambda *given: given[-1].all() or is_worth_it(given[-1])  # noqa: E731
        monkeypatch.setattr("automl.engine.ensemble._is_worth_it", answer)
        return blend(METRICS["rmse"], y, candidates).honest

    mean, corrected = judged(lambda rows: False), judged(lambda rows: True)
    mixed = judged(lambda rows: bool(rows[0]))

    # All but those who are judged together with the first row are for it.
    is_mean = mixed == mean
    assert is_mean[0] and 0.15 < is_mean.mean() < 0.25
    assert np.array_equal(mixed[~is_mean], corrected[~is_mean])


def test_of_few_rows_a_mean_is_not_corrected():
    y, candidates = leaning_numbers(1_999, 0)

    found = blend(METRICS["rmse"], y, candidates)

    assert min(found.weights) >= 0 and sum(found.weights) == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_mean_is_multiplied_by_powers_and_rows_sum_to_one(classes):
    _, stack = leaning_chances(50, 0, classes)
    weights, powers = [0.6, 0.4, 0.0], [0.1, 0.0, -0.2]

    found = combine(stack, weights, powers)

    expected = (0.6 * stack[0] + 0.4 * stack[1]) * stack[0] ** 0.1 * stack[2] ** -0.2
    assert found == pytest.approx(expected / expected.sum(axis=1, keepdims=True))
    assert combine(stack, weights, [0, 0, 0]) == pytest.approx(0.6 * stack[0] + 0.4 * stack[1])


def test_what_a_member_rules_out_is_not_made_certain_by_taking_it_back():
    ruled_out = np.array([[1.0, 0.0]])

    found = combine([np.array([[0.5, 0.5]]), ruled_out], [1.0, 0.0], [0.0, -0.5])

    # A chance of a ten-thousandth is the least that counts.
    assert found[0, 1] == pytest.approx(1 / (1 + 1e-4**0.5))
