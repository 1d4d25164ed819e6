"""How rows are drawn and dealt to folds, as source; the same as `automl.engine.drawing.draw_rows` and
`automl.engine.splitting.make_folds`."""

from __future__ import annotations

from automl.engine.drawing import LEAST_OF_A_CLASS

DRAW_BY_CLASS = f'''
def draw_rows(y):
    """The places of the rows that there was time to learn from: of every class its share."""
    order = np.random.default_rng([SEED, 0xD12A]).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    members = np.bincount(y)
    most = np.maximum(np.round(members * DRAWN / len(y)), {LEAST_OF_A_CLASS})
    rank = np.arange(len(y)) - np.repeat(np.cumsum(members) - members, members)
    return np.sort(order[rank < np.repeat(most, members)])
'''
DRAW = '''
def draw_rows(y):
    """The places of the rows that there was time to learn from."""
    return np.sort(np.random.default_rng([SEED, 0xD12A]).permutation(len(y))[:DRAWN])
'''

BY_CLASS = '''
def deal_folds(y):
    """For each repeat, the fold that judges each row; -1 for the only row of a class, which only trains."""
    chance = np.random.default_rng([SEED, 0xF01D])
    dealt = np.full((REPEATS, len(y)), -1)
    for folds in dealt:
        start = 0  # each class goes on dealing where the last one stopped
        for label in np.unique(y):
            rows = chance.permutation(np.flatnonzero(y == label))
            if len(rows) > 1:
                folds[rows] = (start + np.arange(len(rows))) % FOLDS
                start = (start + len(rows)) % FOLDS
    return dealt
'''
BY_RANK = '''
def deal_folds(y):
    """For each repeat, the fold that judges each row: neighbours in value go to different folds."""
    chance = np.random.default_rng([SEED, 0xF01D])
    dealt = np.full((REPEATS, len(y)), -1)
    order = np.argsort(y + 0.0, kind="stable")
    for folds in dealt:
        for begin in range(0, len(y), FOLDS):
            block = order[begin : begin + FOLDS]
            folds[block] = chance.permutation(FOLDS)[: len(block)]
    return dealt
'''
