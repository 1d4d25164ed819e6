"""Dials in words for people: what each is, what turning it up does, and how either end goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

from automl.engine.space import Choice, Dimension

# Dial: its name for people, what goes wrong when it is too low, and when it is too high.
WORDS: dict[str, tuple[str, str, str]] = {
    "learning_rate": (
        "Learning rate",
        "crawls: the rounds end before the model is done, and it underfits",
        "overshoots: it overfits within a few rounds, or diverges",
    ),
    "n_estimators": (
        "Most rounds",
        "stops while the score still rises",
        "costs time; early stopping ends most fits before",
    ),
    "iterations": (
        "Most rounds",
        "stops while the score still rises",
        "costs time; early stopping ends most fits before",
    ),
    "max_iter": (
        "Most rounds",
        "stops while the score still rises",
        "costs time; early stopping ends most fits before",
    ),
    "num_leaves": ("Leaves of a tree", "misses how columns act together", "learns the noise of single rows"),
    "max_leaf_nodes": (
        "Leaves of a tree",
        "misses how columns act together",
        "learns the noise of single rows",
    ),
    "depth": ("Depth of a tree", "misses how columns act together", "overfits, and takes much longer"),
    "max_depth": ("Depth of a tree", "misses how columns act together", "overfits, and takes longer"),
    "min_child_samples": ("Rows in a leaf", "follows single rows", "blurs what sets groups apart"),
    "min_samples_leaf": ("Rows in a leaf", "follows single rows", "blurs what sets groups apart"),
    "min_child_weight": ("Evidence in a leaf", "follows single rows", "blurs what sets groups apart"),
    "colsample_bytree": (
        "Columns for each tree",
        "trees miss the columns that matter",
        "trees are alike, and errors add up",
    ),
    "rsm": (
        "Columns for each split",
        "splits miss the columns that matter",
        "trees are alike, and fits take longer",
    ),
    "max_features": (
        "Columns for each split",
        "splits miss the columns that matter",
        "trees are alike, and errors add up",
    ),
    "subsample": ("Rows for each tree", "trees see too little to learn from", "trees are alike"),
    "reg_lambda": ("Caution of leaves", "leaves trust few rows too much", "learns next to nothing"),
    "l2_regularization": ("Caution of leaves", "leaves trust few rows too much", "learns next to nothing"),
    "l2_leaf_reg": ("Caution of leaves", "leaves trust few rows too much", "learns next to nothing"),
    "random_strength": ("Chance in splits", "follows the noise of the rows", "learns slowly"),
    "gamma": ("Gain of a split", "keeps splits that are chance", "leaves stumps of trees"),
    "extra_trees": ("Random thresholds", "", ""),
    "criterion": ("Judge of splits", "", ""),
    "strength": (
        "Pull to zero",
        "overfits where there are many columns for the rows",
        "ignores the data: every row gets nearly the same",
    ),
    "penalty": ("Penalty", "", ""),
    "l1_ratio": ("Share that drops columns", "keeps useless columns", "drops useful columns"),
    "categories": ("Categories", "", ""),
    "numeric": ("Numbers", "", ""),
    "texts": ("Texts", "", ""),
    "length_scale": (
        "Reach of likeness",
        "copies the noise of single rows",
        "is nearly a straight line, and misses bends",
    ),
    "n_components": ("Waves", "is a rough picture of the kernel", "takes longer, and makes a large model"),
    "n_neighbors": ("Neighbours", "copies the noise of single rows", "blurs everything to the average"),
    "weights": ("Votes", "", ""),
    "p": ("Distance", "", ""),
    "width": ("Units of a layer", "can't hold the pattern", "overfits small tables, and takes longer"),
    "layers": ("Layers", "finds straight patterns only", "is hard to train"),
    "dropout": ("Dropout", "leans on single units, and overfits", "learns little"),
    "label_smoothing": ("Label smoothing", "is too sure of noisy rows", "tells classes apart too little"),
    "alpha": ("Weight decay", "overfits", "predicts the mean for everything"),
    "epochs": (
        "Most epochs",
        "stops while the score still rises",
        "costs time; early stopping ends most fits before",
    ),
    "batch_size": ("Rows of a step", "", ""),
    "activation": ("Bend of units", "", ""),
    "strategy": ("Which middle", "", ""),
    "target": ("What is learned", "", ""),
}
# Where the same name goes wrong in another way.
OF_FAMILY: dict[tuple[str, str], tuple[str, str, str]] = {
    ("neural_network", "learning_rate"): (
        "Learning rate",
        "crawls: the epochs end before it has learned",
        "diverges: the loss jumps about, or explodes",
    ),
    ("stacked_network", "learning_rate"): (
        "Learning rate",
        "crawls: the epochs end before it has learned",
        "diverges: the loss jumps about, or explodes",
    ),
    ("random_forest", "n_estimators"): ("Trees", "scores shake from luck", "costs time and space"),
    ("extra_trees", "n_estimators"): ("Trees", "scores shake from luck", "costs time and space"),
    ("tabicl", "n_estimators"): ("Readings", "scores shake from luck", "costs as many times more time"),
    ("stacked_trees", "n_estimators"): ("Trees", "scores shake from luck", "costs time and space"),
}


@dataclass(frozen=True, slots=True)
class Guide:
    """What people are told of a dial.

    Attributes
    ----------
    label : str
        Its name for people.
    meaning : str
        One sentence: what it is.
    more : str
        What turning it up, or choosing one or the other, does.
    too_low, too_high : str
        What goes wrong at either end; empty for a dial without ends.
    """

    label: str
    meaning: str
    more: str
    too_low: str
    too_high: str


def label_of(family: str, name: str) -> str:
    """What people call a dial of a family."""
    return _words_of(family, name)[0]


def _words_of(family: str, name: str) -> tuple[str, str, str]:
    plain = (name.replace("_", " ").capitalize(), "", "")
    return OF_FAMILY.get((family, name), WORDS.get(name, plain))


def guide(family: str, name: str, dimension: Dimension) -> Guide:
    """Tell of a dial of a family; one that has no words of its own is told by its effect alone.

    Examples
    --------
    >>> from automl.engine.space import Int
    >>> guide("lightgbm", "num_leaves", Int(2, 64, 31, effect="How detailed: more finds more.")).meaning
    'How detailed.'
    """
    label, too_low, too_high = _words_of(family, name)
    meaning, colon, more = dimension.effect.partition(": ")
    if isinstance(dimension, Choice):
        too_low = too_high = ""
    return Guide(
        label,
        f"{meaning}." if colon else meaning,
        f"{more[:1].upper()}{more[1:]}",
        too_low,
        too_high,
    )
