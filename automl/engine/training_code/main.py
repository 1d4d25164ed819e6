"""The parts of a script that go over the folds, score and save, as source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl.engine.calibration import (
    COOLEST,
    HOTTEST,
    LARGEST_FACTOR,
    LEAST_ROWS,
    LEAST_WHOLE,
    MOST_CELLS,
    SURENESS,
    UNSEEN,
)
from automl.engine.evaluation import BEYOND_SHARE
from automl.engine.inference.model import LEAST_POOLED, LEAST_PROBABILITY
from automl.engine.labels import PARTS
from automl.engine.preparation import TEXT_COMPONENTS

# What the functions below and those of `table` import, where they are used.
MODULES = {
    "scipy.optimize": ("minimize_scalar",),
    "sklearn.decomposition": ("TruncatedSVD",),
    "sklearn.feature_extraction.text": ("TfidfVectorizer",),
    "sklearn.pipeline": ("make_pipeline",),
}
SPLIT = '''
def split(names):
    """Where the matrix has numbers, and where codes of categories."""
    codes = [place for place, name in enumerate(names) if {is_category}]
    return {"numeric": [place for place in range(len(names)) if place not in codes], "categories": codes}
'''
SPLIT_MANY = '''
def split(names):
    """Where the matrix has numbers, and where codes of categories, of few levels or of many."""
    codes = [place for place, name in enumerate(names) if {is_category}]
    return {
        "numeric": [place for place in range(len(names)) if place not in codes],
        "few": [place for place in codes if names[place] not in MANY_LEVELS],
        "many": [place for place in codes if names[place] in MANY_LEVELS],
    }
'''
IS_CATEGORY = 'COLUMNS.get(name, "").startswith("category")'
# Where levels are told by more than their codes, which is no column of the table.
IS_CODE = '''
def is_category(name):
    """Whether a column of the matrix has codes, of levels or of what else they are told by."""
    column, _, label = name.rpartition(": ")
    return COLUMNS.get(name, COLUMNS.get(column, "") if label in LABELS else "").startswith("category")
'''
WORDS = f'''
def part(name, kind):
    """Which of a text's "words" or "place"s a column is; 0 for others."""
    column, _, number = name.rpartition(f": {{kind}} ")
    return int(number) if number.isdigit() and name not in COLUMNS and COLUMNS.get(column) == "text" else 0


def split_words(at, names):
    """Numbers without components of texts, those, and what trees leave out and split by."""
    at["places"] = [place for place in at["numeric"] if part(names[place], "place")]
    at["numeric"] = [place for place in at["numeric"] if not part(names[place], "place")]
    at["plain"] = [place for place in at["numeric"] if not part(names[place], "words")]
    at["words"] = [place for place in at["numeric"] if part(names[place], "words")]
    at["minor"] = [place for place in at["numeric"] if part(names[place], "words") > {TEXT_COMPONENTS}]
    at["kept"] = [place for place in at["numeric"] if part(names[place], "words") <= {TEXT_COMPONENTS}]
    return at
'''
AS_FRAME = '''
def as_frame(X, categories):
    """The matrix with whole numbers for categories, -1 where they are missing."""
    columns = {f"f{place}": X[:, place] for place in range(X.shape[1])}
    columns |= {f"f{place}": np.nan_to_num(X[:, place], nan=-1).astype(np.int32) for place in categories}
    return pd.DataFrame(columns)
'''
AS_COLUMNS = {
    "number": '''
def as_columns(predicted):
    """What is told of numbers that another model predicts."""
    return np.clip(predicted[:, None], -3e38, 3e38).astype(np.float32)
''',
    "odds": f'''
def as_columns(predicted):
    """What is told of probabilities that another model predicts: the logarithm of the odds."""
    logs = np.log(np.maximum(predicted.astype(np.float32).astype(float), {LEAST_POOLED}))
    return (logs[:, 1:] - logs[:, :1]).astype(np.float32)
''',
    "logs": f'''
def as_columns(predicted):
    """What is told of probabilities that another model predicts: their logarithms."""
    return np.log(np.maximum(predicted.astype(np.float32).astype(float), {LEAST_POOLED})).astype(np.float32)
''',
}
FINISH = f'''
def finish(p):
    """No class is impossible, and the probabilities of a row add up to 1."""
    p = np.clip(np.asarray(p, dtype=float), {LEAST_PROBABILITY}, None)
    return p / p.sum(axis=1, keepdims=True)
'''
DOUBT = f"""\
    # No label is quite sure: where all rows are right there would be no doubt left at all.
    doubt = {UNSEEN} / (len(some) + {2 * UNSEEN})"""
TEMPER = f'''
def temper(p, y):
    """Probabilities raised to the power that makes them as sure as they are right."""

    def tempered(p, log_temperature):
        logs = np.log(p) / np.exp(log_temperature)
        return finish(np.exp(logs - logs.max(axis=1, keepdims=True)))

    def loss(log_temperature):
        logs = np.log(tempered(some, log_temperature))
        return -((1 - doubt) * logs[np.arange(len(some)), y[::step]].mean() + doubt * logs.mean())

    step = -(-len(y) // max({MOST_CELLS:_} // p.shape[1], {LEAST_ROWS:_}))
    some = p[::step]
{DOUBT}
    found = minimize_scalar(loss, bounds=np.log([{COOLEST}, {HOTTEST}]), method="bounded")
    return tempered(p, found.x)
'''
# Of trials of before.
SURE_TEMPER = TEMPER.replace(DOUBT, "    doubt = 0")
SHARE_FACTOR = f'''
def share_factor(y, predicted):
    """What makes errors as shares of the truth least: a weighted median of how far off predictions are."""
    known = (y != 0) & (predicted != 0)
    if not known.any():
        return 1.0
    y, predicted = y[known], predicted[known]
    ratios = y / predicted
    order = np.argsort(ratios)
    weights = np.cumsum((np.abs(predicted) / np.maximum(np.abs(y), {LEAST_WHOLE}))[order])
    return ratios[order][np.searchsorted(weights, weights[-1] / 2)]
'''
ABSOLUTE_FACTOR = f'''
def absolute_factor(y, predicted):
    """What makes absolute errors least, or what is nearest 1 of those that rows can't tell from it."""
    known = predicted != 0
    if not known.any():
        return 1.0
    ratios = y[known] / predicted[known]
    order = np.argsort(ratios)
    weights = np.abs(predicted[known])[order]
    room = {SURENESS} * 0.5 * np.sqrt((weights**2).sum()) / weights.sum()
    sides = np.searchsorted(np.cumsum(weights) / weights.sum(), [0.5 - room, 0.5 + room])
    low, high = ratios[order][np.minimum(sides, len(order) - 1)]
    return min(max(low, 1.0), high)
'''
DECIDE = f'''
def decide(p, y):
    """Probabilities times factors that other parts of the rows have found; the largest is the label."""
    part = np.empty(len(y), dtype=int)
    part[np.argsort(y, kind="stable")] = np.arange(len(y)) % {PARTS}
    return p * np.reshape(LABEL_FACTORS, ({PARTS}, -1))[part]
'''
CALL = """if __name__ == "__main__":
    with threadpool_limits(THREADS):
        main(*sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the course of a script depends on.

    Attributes
    ----------
    labels : str
        How labels are written: as "numbers", "truth values" or "words"; empty where a number is predicted.
    only_training, empty_folds : bool
        Some rows are never judged; some folds judge no row.
    offset : float
        What is added to the target before its logarithm is taken.
    is_held : bool
        Numbers are held near those of training.
    scales : str
        Of which errors a factor of the numbers makes the least: "squares", "shares" or "sizes";
        empty for none.
    told : str
        What a stacked trial is told of predictions, see `AS_COLUMNS`; empty for others.
    words : bool
        Components of texts are told from other numbers.
    decides : bool
        Labels are decided by factors of the classes.
    draws : bool
        It has learned from some of the table's rows.
    """

    metric: str
    formula: Sequence[str]
    classes: bool
    labels: str
    splits: bool
    frame: bool
    codes: bool
    validates: bool
    late: bool
    is_log: bool
    offset: float
    is_held: bool
    scales: str
    tempers: bool
    doubts: bool
    only_training: bool
    empty_folds: bool
    told: str = ""
    words: bool = False
    decides: bool = False
    draws: bool = False


def split_source(*, many: bool, labels: bool) -> list[str]:
    """The function that says which columns of the matrix are numbers, and which are codes.

    Parameters
    ----------
    many : bool
        Some categories have many levels.
    labels : bool
        Levels of some are told by categories of their own.
    """
    source = SPLIT_MANY if many else SPLIT
    if labels:
        return [IS_CODE, source.replace("{is_category}", "is_category(name)")]
    return [source.replace("{is_category}", IS_CATEGORY)]


def parts(facts: Facts) -> list[str]:
    """The functions that follow `fit`."""
    score = ["def score(y, p):", f'    """{facts.metric}."""', *(f"    {line}" for line in facts.formula)]
    return [
        *([AS_FRAME] if facts.frame else []),
        *([AS_COLUMNS[facts.told]] if facts.told else []),
        *([FINISH] if facts.classes else []),
        *([TEMPER if facts.doubts else SURE_TEMPER] if facts.tempers else []),
        *([SHARE_FACTOR] if facts.scales == "shares" else []),
        *([ABSOLUTE_FACTOR] if facts.scales == "sizes" else []),
        *([DECIDE] if facts.decides else []),
        "\n".join(score),
        "\n".join(_main(facts)),
    ]


def _main(facts: Facts) -> list[str]:
    lines = ['"""Fit on all folds, print the score, and save the models if a file for them is named."""']
    names = "names" if facts.splits else "_"
    lines += ["table = read(path)", *_target(facts), f"X, {names} = prepare(table)"]
    if facts.told:
        lines += [
            "# Each is fitted first: what it predicts of a row it has not seen stands beside the columns.",
            "told = [as_columns(import_module(name).main(path)) for name in BASES]",
            "X = np.concatenate([X, *told], axis=1)",
        ]
        if facts.splits:
            lines.append('names += [f"prediction {place}" for place in range(len(names), X.shape[1])]')
    if facts.splits:
        lines.append("at = split_words(split(names), names)" if facts.words else "at = split(names)")
    if facts.frame:
        categories = 'at["categories"]' if facts.codes else "[]"
        lines.append(f"X = as_frame(X, {categories})")
    if facts.is_log:
        more = f" + {facts.offset}" if facts.offset else ""
        lines.append(f"logs = np.log(y{more})  # what is learned")
    shape = "(len(y), len(CLASSES))" if facts.classes else "len(y)"
    lines += [f"total, models = np.zeros({shape}), []"]
    if facts.only_training:
        lines.append("judged = deal_folds(y)[0] >= 0")
    lines.append("for number, (folds, fold) in enumerate(product(deal_folds(y), range(FOLDS))):")
    lines += [f"    {line}" for line in _fold(facts)]
    lines += _scored(facts)
    lines += [
        f'print(f"{facts.metric} out of fold: {{value:.12g}}; on the leaderboard: {{LEADERBOARD:.12g}}")',
        "if out:",
        "    dump(models, out)  # the mean of their predictions is the model's",
        "return predicted",
    ]
    return ["def main(path, out=None):", *(f"    {line}" for line in lines)]


def _target(facts: Facts) -> list[str]:
    lines = ["y = numbers(table[TARGET])"]
    if facts.labels == "numbers":
        codes = "codes_of = {float(label): code for code, label in enumerate(CLASSES)}"
        lines = [codes, "y = pd.Series(numbers(table[TARGET])).map(codes_of).to_numpy(dtype=float)"]
    elif facts.labels:
        cells = "table[TARGET].str.capitalize()" if facts.labels == "truth values" else "table[TARGET]"
        codes = "codes_of = {str(label): code for code, label in enumerate(CLASSES)}"
        lines = [codes, f"y = {cells}.map(codes_of).to_numpy(dtype=float)"]
    cast = ".astype(np.int32)" if facts.classes else ""
    lines.append(f"table, y = table[~np.isnan(y)].reset_index(drop=True), y[~np.isnan(y)]{cast}")
    if facts.draws:
        lines += ["drawn = draw_rows(y)", "table, y = table.iloc[drawn].reset_index(drop=True), y[drawn]"]
    return lines


def _fold(facts: Facts) -> list[str]:
    y = "logs" if facts.is_log else "y"
    lines = ["test = folds == fold", "train = ~test"]
    if facts.empty_folds:
        lines += ["if not test.any():", "    continue"]
    valid = [f"X[test], {y}[test]"] if facts.validates and not facts.late else []
    arguments = [
        f"X[train], {y}[train]",
        *valid,
        *(["at"] if facts.splits else []),
        "TRIAL_SEED + number",
        *(["ROUNDS[len(models)]"] if facts.late else []),
    ]
    lines.append(f"model = fit({', '.join(arguments)})")
    if facts.classes:
        lines.append("total[test] += finish(model.predict_proba(X[test]))")
    elif facts.is_log:
        low = "logs[train].min() - 1"
        if facts.offset:
            low = f"max({low}, np.log({facts.offset}))"
        less = f" - {facts.offset}" if facts.offset else ""
        lines += [
            f"low, high = {low}, logs[train].max() + 1  # beyond these it guesses",
            "found = np.clip(np.asarray(model.predict(X[test]), dtype=float), low, high)",
            f"total[test] += np.exp(found){less}",
        ]
    elif facts.is_held:
        lines += [
            "low, high = y[train].min(), y[train].max()",
            f"room = {BEYOND_SHARE} * (high - low)  # further off it guesses",
            "found = np.asarray(model.predict(X[test]), dtype=float)",
            "total[test] += np.clip(found, low - room, high + room)",
        ]
    else:
        lines.append("total[test] += model.predict(X[test])")
    return [*lines, "models.append(model)"]


def _scored(facts: Facts) -> list[str]:
    predicted = "finish(total / REPEATS)" if facts.classes else "total / REPEATS"
    lines = [f"predicted = {predicted}"]
    if facts.only_training:
        lines.append("y, predicted = y[judged], predicted[judged]")
    if facts.tempers:
        lines.append("predicted = temper(predicted, y)")
    low, high = 1 / LARGEST_FACTOR, LARGEST_FACTOR
    if facts.scales == "shares":
        lines.append(f"predicted *= np.clip(share_factor(y, predicted), {low}, {high})")
    elif facts.scales == "sizes":
        lines.append(f"predicted *= np.clip(absolute_factor(y, predicted), {low}, {high})")
    elif facts.scales:
        lines += [
            "# The exponential of a mean logarithm is less than the mean: one factor makes up for it.",
            f"predicted *= np.clip(y @ predicted / (predicted @ predicted), {low}, {high})",
        ]
    return [*lines, f"value = score(y, {'decide(predicted, y)' if facts.decides else 'predicted'})"]
