"""What a configuration will score, guessed from the trials of its family so far, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from automl.engine.space import Choice, Space, same_value
from automl.engine.stopped import Comparison
from automl.engine.trial import Params, TrialRecord

if TYPE_CHECKING:
    import numpy as np

# With fewer scores a guess would be a guess at the guess.
LEAST_TRIALS = 4
# So many trials keep a prediction under 50 ms; the best and the latest say most.
MOST_TRIALS = 300
# Length scales are found on so many of them: the likelihood is asked dozens of times.
FITTED_ON = 80
LENGTHS = (0.15, 0.3, 0.6, 1.2, 2.5)
NOISES = (0.003, 0.02, 0.1, 0.4)
# Of so many times the shared length is a dial that hardly matters.
FLAT, SHARP = 3.0, 0.6
PASSES = 2
# The band holds the result in so many cases of a hundred.
BAND = 0.8
Z = 1.2816
# The textbook's width counts as this many trials, beside how far the model was off on each when left out.
PRIOR_TRIALS = 8.0
# Lengths and noise were chosen by the same scores: with ten of them the band is wider by DOUBT tenths.
DOUBT = 4.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """A predicted score with the band that holds the result in four cases of five.

    Attributes
    ----------
    score, low, high : float
        Higher is better, as everywhere in the engine.
    trials : int
        How many scores it was learned from.
    """

    score: float
    low: float
    high: float
    trials: int


class Surrogate:
    """A Gaussian process over the dials of one family.

    Dials are placed by their spaces, so a logarithmic one counts by factors; a dial that is out of use
    stands at its default; choices are as far from one another as a third of a range. Scores are
    squeezed towards their middle, so that a few ruined trials don't hide the differences among good
    ones, and the band is stretched back with them. How wide it is follows from how far the model is
    off on each trial when it is left out.

    Parameters
    ----------
    space : Space
    points : sequence of (Params, float)
        Configurations with their scores; see `usable`.

    Examples
    --------
    >>> from automl.engine.space import Float
    >>> space = Space({"rate": Float(0.0, 1.0, 0.5)})
    >>> surrogate = Surrogate(space, [({"rate": x / 10}, -((x / 10 - 0.5) ** 2)) for x in range(11)])
    >>> surrogate.predict({"rate": 0.5}).score > surrogate.predict({"rate": 0.95}).score
    True
    """

    def __init__(self, space: Space, points: Sequence[tuple[Params, float]]) -> None:
        import numpy as np

        if len(points) < LEAST_TRIALS:
            raise ValueError(f"{len(points)} scores are too few; {LEAST_TRIALS} are needed")
        points = [(space.clip(params), score) for params, score in _kept(points)]
        self.space = space
        self.columns = _columns(space)
        self.count = len(points)
        scores = np.array([score for _, score in points])
        self._middle = float(np.median(scores))
        self._scale = _spread(scores)
        # Squeezing is undone by an exponential: beyond what was seen it would lead anywhere.
        worst, best = float(scores.min()), float(scores.max())
        reach = max(best - worst, 4.0 * self._scale)
        self._ends = (worst - reach, best + reach)
        warped = np.arcsinh((scores - self._middle) / self._scale)
        self._mean, self._deviation = float(warped.mean()), float(warped.std()) or 1.0
        self._x = np.array([self._placed(params) for params, _ in points])
        self._y = (warped - self._mean) / self._deviation
        order = np.linspace(0, self.count - 1, min(self.count, FITTED_ON)).round().astype(int)
        told = (self._x[order].tobytes(), self._y[order].tobytes())
        lengths, self._noise = _tuned(tuple(self.columns), *told)
        self._lengths = np.array(lengths)
        self._solve()

    @classmethod
    def learn(cls, space: Space, history: Sequence[TrialRecord], family: str) -> Surrogate | None:
        """Learn from the trials of a family, or None where there are too few or nothing to turn.

        Parameters
        ----------
        space : Space
        history : sequence of TrialRecord
            Of all families.
        family : str
        """
        points = usable(space, [record for record in history if record.family == family])
        return cls(space, points) if space.dimensions and len(points) >= LEAST_TRIALS else None

    def predict(self, params: Params) -> Forecast:
        """Predict the score of one configuration, valid in the space."""
        return self.predict_many([params])[0]

    def predict_many(self, configurations: Sequence[Params]) -> list[Forecast]:
        """Predict the scores of several configurations at once."""
        import numpy as np

        x = np.array([self._placed(params) for params in configurations])
        cross = _kernel(x, self._x, self._lengths)
        mean = cross @ self._weights
        spread = np.maximum(1.0 + self._noise - np.einsum("ij,jk,ik->i", cross, self._inverse, cross), 1e-9)
        half = self._width * np.sqrt(self._signal * spread)
        return [
            Forecast(self._unwarped(at), self._unwarped(at - wide), self._unwarped(at + wide), self.count)
            for at, wide in zip(mean.tolist(), half.tolist(), strict=True)
        ]

    def _unwarped(self, value: float) -> float:
        squeezed = min(max(value * self._deviation + self._mean, -30.0), 30.0)
        return min(max(self._middle + self._scale * math.sinh(squeezed), self._ends[0]), self._ends[1])

    def _placed(self, params: Params) -> list[float]:
        row: list[float] = []
        for name, dimension in self.space.dimensions.items():
            value = params.get(name, dimension.default)
            if isinstance(dimension, Choice):
                row += [0.25 if same_value(value, choice) else 0.0 for choice in dimension.choices]
            else:
                row.append(min(max(dimension.position(value), 0.0), 1.0))
        return row

    def _solve(self) -> None:
        import numpy as np

        kernel = _kernel(self._x, self._x, self._lengths)
        kernel[np.diag_indices_from(kernel)] += self._noise
        self._inverse = np.linalg.inv(kernel)
        self._weights = self._inverse @ self._y
        self._signal = max(float(self._y @ self._weights) / self.count, 1e-9)
        diagonal = np.maximum(np.diag(self._inverse), 1e-12)
        off = np.abs(self._weights / diagonal) / np.sqrt(self._signal / diagonal)
        seen = float(np.quantile(off, BAND))
        width = (self.count * seen + PRIOR_TRIALS * student(self.count)) / (self.count + PRIOR_TRIALS)
        self._width = width * (1.0 + DOUBT / self.count)


# While a dial is turned the same trials are asked about again and again.
@lru_cache(maxsize=64)
def _tuned(columns: tuple[str, ...], xs: bytes, ys: bytes) -> tuple[tuple[float, ...], float]:
    """Find length scales and noise by the likelihood: all dials alike first, then each by itself."""
    import numpy as np

    y = np.frombuffer(ys)
    x = np.frombuffer(xs).reshape(len(y), len(columns))
    # Distances by dial, computed once; the likelihood is a sum of these and one factorisation.
    squares = np.stack([(x[:, place, None] - x[None, :, place]) ** 2 for place in range(x.shape[1])])

    def likelihood(lengths: np.ndarray[Any, Any], noise: float) -> float:
        kernel = _matern(np.tensordot(lengths**-2.0, squares, axes=1))
        kernel[np.diag_indices_from(kernel)] += noise
        try:
            lower = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            return -math.inf
        white = np.linalg.solve(lower, y)
        signal = max(float(white @ white) / len(y), 1e-9)
        # Long lengths are the likelier ones before anything is known: most dials matter little.
        doubt = 0.5 * float(np.sum(np.log(np.maximum(lengths, 0.05)) < math.log(0.2)))
        return -float(np.log(np.diag(lower)).sum()) - 0.5 * len(y) * math.log(signal) - doubt

    width = x.shape[1]
    shared = [(length, noise) for length in LENGTHS for noise in NOISES]
    length, noise = max(shared, key=lambda each: likelihood(np.full(width, each[0]), each[1]))
    lengths = np.full(width, length)
    best = likelihood(lengths, noise)
    groups = sorted(set(columns))
    for _ in range(PASSES if len(y) > 2 * LEAST_TRIALS else 0):
        for group in groups:
            mine = np.array([column == group for column in columns])
            for factor in (FLAT, SHARP):
                tried = np.where(mine, lengths * factor, lengths)
                found = likelihood(tried, noise)
                if found > best:
                    best, lengths = found, tried
    return tuple(lengths.tolist()), max(NOISES, key=lambda each: likelihood(lengths, each))


def usable(space: Space, records: Sequence[TrialRecord]) -> list[tuple[Params, float]]:
    """Give the configurations of a family whose scores can be compared, in order of their numbers."""
    comparison = Comparison(records)
    known = set(space.dimensions)
    found = [
        (record.params, comparison.score(record))
        for record in sorted(records, key=lambda record: record.number)
        if known.issuperset(record.params)
    ]
    return [(params, score) for params, score in found if score is not None]


def student(freedom: int) -> float:
    """Give the factor of a band of 80 % where the spread itself was estimated from so few."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    return Z + first / freedom + second / freedom**2


def _kept(points: Sequence[tuple[Params, float]]) -> Sequence[tuple[Params, float]]:
    if len(points) <= MOST_TRIALS:
        return points
    half = MOST_TRIALS // 2
    latest, earlier = points[-half:], points[:-half]
    return [*sorted(earlier, key=lambda point: -point[1])[:half], *latest]


def _columns(space: Space) -> list[str]:
    """The dial that each column of a placed configuration belongs to."""
    columns: list[str] = []
    for name, dimension in space.dimensions.items():
        columns += [name] * (len(dimension.choices) if isinstance(dimension, Choice) else 1)
    return columns


def _spread(scores: np.ndarray[Any, Any]) -> float:
    """The distance from the middle that half of the scores keep within."""
    import numpy as np

    middle = float(np.median(scores))
    return float(np.median(np.abs(scores - middle))) or float(np.std(scores)) or max(abs(middle), 1e-3) * 1e-3


def _kernel(
    left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    import numpy as np

    a, b = left / lengths, right / lengths
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
    return _matern(np.maximum(squares, 0.0))


def _matern(squares: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Matérn 5/2: as smooth as responses to dials are, less so than a bell curve."""
    import numpy as np

    reach = np.sqrt(5.0 * squares)
    found: np.ndarray[Any, Any] = (1.0 + reach + reach * reach / 3.0) * np.exp(-reach)
    return found
