"""How rows are dealt to folds, as source; the same as `automl.engine.splitting.make_folds`."""

from __future__ import annotations

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
