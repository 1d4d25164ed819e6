"""What a mean of members leaves over: small parts of candidates, of either sign, on top of it.

A mean is never surer than its surest member, and never beyond all of them. Strong models still share a lean,
which a weak one has more of: less of the weak one takes it away. For numbers the parts are added (Breiman
1996, "Stacked regressions", without the sign constraint); probabilities are multiplied by powers of the
members' own (a logarithmic pool, Genest and Zidek 1986). Both are found by ridge regression towards none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from automl.engine.inference import LEAST_POOLED, LEAST_PROBABILITY
from automl.engine.room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# How far parts are from none before the rows are seen: few rows move them less.
SPREAD = 0.05
# A part that makes the rows less likely by less than this, in all, is not worth a member.
LEAST_EVIDENCE = 1.0
# Where the powers would take the place of the mean, the rows are no guide to them.
LEAST_MEAN_POWER = 0.5
STEPS, SMALLEST_STEP, SMALLEST_GAIN = 12, 1e-3, 1e-6
# Of the target's variance: with less left there is nothing to correct.
LEAST_LEFT = 1e-9
# Beyond so many numbers only some of the rows are looked at.
MOST_CELLS = 6_000_000


class _Problem(Protocol):
    """Parts of candidates as parameters, with as many more before them as `fixed` says."""

    fixed: int
    rows: int

    def solve(self, ids: Array, start: Array | None) -> tuple[Array, Array]:
        """Give the best parameters for some candidates, and the Hessian of the loss of one row there."""
        ...


def correct_numbers(y: Array, stack: Array, weights: Array, *, room: Room) -> Array:
    """Find what is added to the weights of a mean of numbers.

    Parameters
    ----------
    y : array of shape (rows,)
    stack : array of shape (candidates, rows)
    weights : array of shape (candidates,)
        Of the mean.
    room : Room

    Returns
    -------
    array of shape (candidates,)
        Most of it is 0; where nothing is worth it, all of it.
    """
    return _reduced(_Numbers(y, stack, weights), weights, room)[1]


def correct_chances(y: Array, stack: Array, weights: Array, *, room: Room) -> Array:
    """Find the powers of candidates that a mean of probabilities is multiplied by.

    Parameters
    ----------
    y : array of int, shape (rows,)
    stack : array of shape (candidates, rows, classes)
    weights : array of shape (candidates,)
        Of the mean.
    room : Room

    Returns
    -------
    array of shape (candidates,)
        For the mean itself to the power of 1: a temperature says how sure the product is to be.
    """
    step = max(1, -(-stack.size // MOST_CELLS))
    first, powers = _reduced(_Chances(y[::step], stack[:, ::step], weights), weights, room)
    return powers / first[0] if first[0] >= LEAST_MEAN_POWER else np.zeros_like(powers)


def _reduced(problem: _Problem, weights: Array, room: Room) -> tuple[Array, Array]:
    """Drop parts, the one that is missed least first, until what is left is worth it and has room.

    By how much the loss rises without a part is told by its square and the Hessian: Hassibi and Stork 1993.
    """
    ids = np.arange(len(weights))
    found, hessian = problem.solve(ids, None)
    while len(ids):
        inverse = np.linalg.inv(hessian)
        variances = np.diag(inverse)
        if variances.min() <= 0:
            raise np.linalg.LinAlgError("Predictions are too much alike to tell parts of them apart.")
        cost = 0.5 * found**2 / variances * problem.rows
        cost = cost[problem.fixed :]
        members = weights > 0
        is_new = ~members[ids]
        members[ids] = True
        # To drop the part of what is a member anyway makes no room.
        is_over = bool(is_new.any()) and room.is_over(members)
        if is_over:
            cost = np.where(is_new, cost / room.freed(members)[ids], np.inf)
        least = int(np.argmin(cost))
        if not is_over and cost[least] > LEAST_EVIDENCE:
            break
        place = least + problem.fixed
        without = found - found[place] / inverse[place, place] * inverse[:, place]
        ids = np.delete(ids, least)
        found, hessian = problem.solve(ids, np.delete(without, place))
    parts = np.zeros(len(weights))
    parts[ids] = found[problem.fixed :]
    return found[: problem.fixed], parts


class _Numbers:
    """Least squares, in units of the error that the mean leaves."""

    fixed = 0

    def __init__(self, y: Array, stack: Array, weights: Array) -> None:
        self.rows = len(y)
        left = y - weights @ stack
        scale = max(float(np.mean(left**2)), LEAST_LEFT * float(np.var(y))) or 1.0
        self.squares = stack @ stack.T / (self.rows * scale)
        self.products = stack @ left / (self.rows * scale)
        self.penalty = 1.0 / (SPREAD**2 * self.rows)

    def solve(self, ids: Array, start: Array | None) -> tuple[Array, Array]:
        hessian = self.squares[np.ix_(ids, ids)] + self.penalty * np.eye(len(ids))
        return np.linalg.solve(hessian, self.products[ids]), hessian


class _Chances:
    """Log loss of the product; the first parameter is the power of the mean, expected to be 1."""

    fixed = 1

    def __init__(self, y: Array, stack: Array, weights: Array) -> None:
        self.rows = len(y)
        stack = stack.astype(np.float32, copy=False)
        mean = np.tensordot(weights.astype(np.float32), stack, axes=1)
        self.logs = np.concatenate(
            [
                np.maximum(mean, LEAST_PROBABILITY)[None],
                np.maximum(stack, LEAST_POOLED),
            ]
        )
        np.log(self.logs, out=self.logs)
        self.of_truth = self.logs[:, np.arange(self.rows), y].mean(axis=1, dtype=np.float64)
        self.penalty = 1.0 / (SPREAD**2 * self.rows)

    def solve(self, ids: Array, start: Array | None) -> tuple[Array, Array]:
        places = np.concatenate([[0], ids + 1])
        logs, of_truth = self.logs[places], self.of_truth[places]
        usual = np.zeros(len(places))
        usual[0] = 1.0
        found: Array = usual if start is None else start
        step: Array = np.zeros(len(places))
        least = np.inf
        for _ in range(STEPS):
            loss, gradient, slopes = self._slope(logs, of_truth, found)
            loss += 0.5 * self.penalty * float(((found - usual) ** 2).sum())
            if loss > least + SMALLEST_GAIN:
                # Too far: half as far.
                step = step / 2
                found = found + step
                continue
            least, hessian = loss, slopes + self.penalty * np.eye(len(found))
            step = np.linalg.solve(hessian, gradient + self.penalty * (found - usual))
            found = found - step
            if np.abs(step).max() < SMALLEST_STEP:
                break
        return found, hessian

    def _slope(self, logs: Array, of_truth: Array, powers: Array) -> tuple[float, Array, Array]:
        """The mean log loss, its gradient and its Hessian."""
        total = np.tensordot(powers.astype(np.float32), logs, axes=1)
        highest = total.max(axis=1, keepdims=True)
        chances = np.exp(total - highest)
        sums = chances.sum(axis=1, keepdims=True)
        loss = float((highest + np.log(sums)).mean(dtype=np.float64) - powers @ of_truth)
        chances /= sums
        expected = np.einsum("mnk,nk->mn", logs, chances)
        scaled = (logs * np.sqrt(chances)).reshape(len(logs), -1)
        hessian = (scaled @ scaled.T - expected @ expected.T) / self.rows
        return loss, expected.mean(axis=1, dtype=np.float64) - of_truth, hessian.astype(np.float64)
