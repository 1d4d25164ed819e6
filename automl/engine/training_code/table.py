"""Reading a table and turning it into numbers, as source; the same as `automl.engine.inference.Encoder`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from automl.engine.inference import codes, words
from automl.engine.inference.encoder import DAY_FRACTION, DAY_NUMBER, GROUPED, is_code, names_as_trained
from automl.engine.levels import MOST_LEVELS
from automl.engine.preparation import (
    COMPONENT_WORDS,
    LEAST_SINGULAR,
    TEXT_COMPONENTS,
    TEXT_DECIMALS,
    TEXT_ROWS,
    TEXT_WORDS,
)
from automl.engine.schema import MISSING_MARKS
from automl.engine.training_code.source import literal, packed

# More columns than these are told several on a line.
FEW_COLUMNS = 40

SETTINGS = {
    "csv": """    how = {"sep": {delimiter}, "encoding": {encoding}{odd}}
    how |= {"dtype": str, "keep_default_na": False, "skipinitialspace": True, "index_col": False}
""",
    "xlsx": """    how = {"dtype": str, "keep_default_na": False, "engine": "calamine"}
""",
    "parquet": "",
}
READERS = {
    "csv": "pd.read_csv(path, {names}**how)",
    "xlsx": "pd.read_excel(path, {names}**how)",
    "parquet": "pq.ParquetFile(path).read().to_pandas(ignore_metadata=True).astype(str)",
}
READ = '''
def read(path):
    """Every cell that is needed, as text; None where it is missing."""
{table}
    table = table[[*COLUMNS, TARGET]].apply(lambda cells: cells.str.strip())
    return table.mask(table.isin(MISSING))
'''
NAMED = """    table = {reader}
    table.columns = {names}"""
PLAIN_NAMES = '[" ".join(str(name).split()) for name in table.columns]'
REPAIRED_NAMES = "names_as_trained(table.columns)"
# pandas gives other names than training where they are empty or repeated.
REPAIRED_HEADER = """    header = {first}.iloc[0]
    table = {reader}"""
NUMBERS = '''
def numbers(cells):
    """Numbers, however they are written; NaN where there is none."""
    grouped = cells.str.fullmatch(r"{number}", na=False)
    cells = cells.mask(grouped, cells.str.replace(r"{between}", "", regex=True))
{decimal}    found = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.clip(np.where(np.isfinite(found), found, np.nan), -3e38, 3e38)
'''
DECIMAL_COMMA = """    cells = cells.str.replace(",", ".", regex=False)
"""
# How levels of a category are written, and how they are brought into one form.
LEVELS = {
    "numbers": 'pd.Series(numbers(cells)).map(lambda n: str(int(n)) if n.is_integer() else str(n), "ignore")',
    "truth values": "cells.str.capitalize()",
    "words": 'cells.str.replace(r"^(-?\\d+)\\.0$", r"\\1", regex=True)  # 5.0 is 5',
}
CODES = f"""
def codes(cells, kind):
    \"\"\"Levels of a category as numbers, the most frequent one first.\"\"\"
{{levels}}
    counts = levels.value_counts().to_dict()
    order = sorted(counts, key=lambda level: (-counts[level], level))[:{MOST_LEVELS:_}]
    {{found}}levels.map({{level: code for code, level in enumerate(order)}}){{unknown}}.to_numpy(dtype=float)
"""
# The levels beyond the most that are told apart have one code together.
UNKNOWN = """
    return found.fillna(len(order)).where(levels.notna())"""
CODE_PARTS = """
def code_parts(name, cells{kind}):
    \"\"\"The numbers in the levels of a category, and codes of what else they are told by.\"\"\"
    if name not in CODES:
        return {}
    count, labels = CODES[name]
    found = cells.map({numbers_in}, "ignore")
    parts = {}
    for place in range(count):
        number = found.map(lambda numbers, at=place: numbers[at] if at < len(numbers) else np.nan, "ignore")
        number = number.to_numpy(dtype=float, na_value=np.nan)
        parts[f"{name}: number {place + 1}"] = np.clip(number, -3e38, 3e38)
    for label in labels:
        parts[f"{name}: {label}"] = codes(cells.map(LABELS[label], "ignore"){kind})
    return parts
"""
PARTS = {
    "days": '(times.tz_localize(None) - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)',
    "year": "times.year",
    "month": "times.month",
    "day": "times.day",
    "weekday": "times.dayofweek",
    "hour": "times.hour + times.minute / 60",
}
DATES = """
def date_parts(cells, date_format, parts):
    \"\"\"Numbers that say when it was.\"\"\"
{days}    times = pd.to_datetime(cells, format=date_format, errors="coerce", utc=True).dt
    found = {
{parts}
    }
    return {part: found[part].to_numpy(dtype=float, na_value=np.nan) for part in parts}
"""
DAYS = f"""    if date_format == "{DAY_NUMBER}":  # of a column with gaps
        cells = cells.str.replace(r"{DAY_FRACTION}", r"\\1", regex=True)
"""
WORDS = f'''
def word_parts({{arguments}}):
    """Components of the words of each text (latent semantic analysis), and how long it is."""
    texts = cells.fillna("").astype(str)
    told = texts{{lengths}}
    sample = list(told.sample(min(len(told), {TEXT_ROWS:_}), random_state=SEED))
    settings = {{"min_df": max(2, len(sample) // 2000), "max_features": {TEXT_WORDS:_}, "sublinear_tf": True}}
    words = TfidfVectorizer(**settings)
    weights = words.fit_transform(sample)
    width = weights.shape[1]
    count = {{count}}
    components = TruncatedSVD(min(count, width - 1), random_state=SEED).fit(weights)
    strong = components.singular_values_ > {LEAST_SINGULAR} * components.singular_values_[0]
    count = max(int(strong.sum()), 1)
    components.components_ = components.components_[:count]{{scale}}
    found = np.round(components.transform(words.transform(list(told))), {TEXT_DECIMALS})
    parts = {{f"words {{place + 1}}": values for place, values in enumerate(found.T)}}
    parts |= {{"length": texts.str.len(), "words": texts.str.count(" ") + 1}}{{places}}
    return parts
'''
# Experiments of before words were told one by one do not tell how long numbers are.
LENGTHS = ".map(with_lengths)"
PLACES = """
    found = places_of_words(list(told), words, slots)
    parts |= {f"place {place + 1}": values for place, values in enumerate(found.T)}"""
# Experiments of before texts had many components have few, each on a scale of its own.
FEW_WORDS = f"{TEXT_COMPONENTS}"
MANY_WORDS = f"max({TEXT_COMPONENTS}, min({{most}}, width // {COMPONENT_WORDS}))"
SCALE = f"""
    # The first on the scale of other numbers, the others as much smaller as they are.
    spread = np.sqrt(components.explained_variance_[: min({TEXT_COMPONENTS}, count)].mean())
    components.components_ /= spread if spread > {LEAST_SINGULAR} else 1.0"""
STEPS = {
    "number": "found = {name: numbers(cells)}",
    "date": 'found = {f"{name}: {part}": values for part, values in date_parts(cells, *DATES[name]).items()}',
    "text": 'found = {f"{name}: {part}": values for part, values in word_parts({arguments}).items()}',
}
PREPARE = '''
def prepare(table):
    """The matrix that models learn from, and its columns' names: NaN for gaps, codes for categories."""
    names, columns = [], []
    {loop}
        cells = table[name]
{body}
        names += found.keys()
        columns += found.values()
    return np.column_stack(columns).astype(np.float32), names
'''
TRUTH = {"True", "False"}
# What `names_as_trained` calls columns without a name, or with that of another.
GIVEN = re.compile(r".*_\d+")


@dataclass(frozen=True, slots=True)
class Table:
    """What of a schema the source of reading and preparing depends on.

    Attributes
    ----------
    columns : mapping
        Kind by name: "number", "date", "text", or "category of words" and its likes; a "flag" has two
        levels, whose codes are used as a number.
    dates : mapping
        Of columns of dates: the format and the parts.
    components : int or None
        How many there may be of a text; None for experiments of before there were many.
    places : mapping or None
        How many words of each text are told one by one; None for experiments of before any were.
    codes : mapping
        Of categories whose levels are told by more than their codes: how many numbers, and what else.
    lakhs : sequence of str
        The categories of whose levels 1,20,000 is one number.
    is_renamed : bool
        Whether a column may be called otherwise than in the file.
    has_others : bool
        Whether a category has levels without a code of their own that are not missing.
    """

    columns: Mapping[str, str]
    dates: Mapping[str, tuple[str, list[str]]]
    missing: Sequence[str]
    dialect: Mapping[str, Any]
    decimal: str
    components: int | None = None
    places: Mapping[str, int] | None = None
    codes: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    lakhs: Sequence[str] = ()
    is_renamed: bool = False
    has_others: bool = False

    @property
    def tells_words(self) -> bool:
        """Whether words of any text are told one by one."""
        return self.places is not None and any(self.places.values())

    @property
    def writings(self) -> list[str]:
        """How levels of categories and flags are written, each once."""
        return sorted({kind.partition(" of ")[2] for kind in self.columns.values()} - {""})


def table_of(schema: Mapping[str, Any]) -> Table:
    """Tell how each column of a schema is read."""
    categories = {feature["column"] for feature in schema["features"] if feature["kind"] == "category"}
    columns: dict[str, str] = {}
    dates: dict[str, tuple[str, list[str]]] = {}
    levels: set[str] = set()
    for column in schema["columns"]:
        name, kind = column["name"], column["kind"]
        if "categories" in column:
            levels.update(column["categories"])
            columns[name] = (
                f"{'category' if name in categories else 'flag'} of {written(column['categories'])}"
            )
        elif kind == "datetime":
            columns[name] = "date"
            dates[name] = (column.get("format") or "ISO8601", list(column["parts"]))
        else:
            columns[name] = "text" if kind == "text" else "number"
    missing = [mark for mark in MISSING_MARKS if mark not in levels]
    dialect, decimal = schema.get("dialect") or {}, schema.get("decimal", ".")
    components = next((each["components"] for each in schema["columns"] if "components" in each), None)
    told = {each["name"]: each["places"] for each in schema["columns"] if "places" in each}
    parts = {
        each["name"]: (each.get("numbers", 0), tuple(each.get("labels", ())))
        for each in schema["columns"]
        if is_code(each)
    }
    lakhs = [each["name"] for each in schema["columns"] if each.get("lakhs")]
    is_renamed = "row_names" in dialect or (
        "names" in dialect and any(map(GIVEN.fullmatch, [*columns, str(schema.get("target"))]))
    )
    has_others = any(
        MOST_LEVELS in map(len, [each["categories"], *each.get("labels", {}).values()])
        for each in schema["columns"]
        if each.get("tells_unknown")
    )
    return Table(
        columns,
        dates,
        missing,
        dialect,
        decimal,
        components,
        told or None,
        parts,
        lakhs,
        is_renamed,
        has_others,
    )


def written(levels: Sequence[Any]) -> str:
    """How levels are written: as "numbers", "truth values" or "words"."""
    texts = [str(level) for level in levels]
    if texts and set(texts) <= TRUTH:
        return "truth values"
    return "numbers" if texts and all(_is_number(text) for text in texts) else "words"


def _is_number(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return text in (str(number), str(int(number)) if number.is_integer() else "")


def columns_source(table: Table) -> list[str]:
    """The dicts that say how columns are read."""
    lines = _dict("COLUMNS", {name: literal(kind) for name, kind in table.columns.items()})
    if table.dates:
        lines += _dict("DATES", {name: literal(how) for name, how in table.dates.items()})
    if table.codes:
        lines += ["# How many numbers in the levels of a category are told, and what else they are told by."]
        lines += _dict("CODES", {name: literal(told) for name, told in table.codes.items()})
    if table.lakhs:
        lines += [f"IN_LAKHS = {literal(list(table.lakhs))}"]
    if table.tells_words:
        lines += ["# How many words of a text are told one by one."]
        lines += _dict("SLOTS", {name: literal(count) for name, count in (table.places or {}).items()})
    return lines


def _dict(name: str, values: Mapping[str, str]) -> list[str]:
    parts = [f"{literal(key)}: {value}" for key, value in values.items()]
    if len(parts) > FEW_COLUMNS:
        return [f"{name} = {{", *packed(parts), "}"]
    if len(parts) == 1:
        return [f"{name} = {{{parts[0]}}}"]
    return [f"{name} = {{", *(f"    {part}," for part in parts), "}"]


def read_source(table: Table) -> list[str]:
    """The function that reads the file, and one that names its columns where reading had to repair names."""
    dialect = table.dialect
    given = str(dialect.get("format") or "csv")
    given = given if given in READERS else "csv"
    reader = READERS[given]
    if table.is_renamed and given != "parquet":
        header = '["", *header]' if "row_names" in dialect else "header"
        names = f"header=0, names=names_as_trained({header}), "
        found = REPAIRED_HEADER.replace("{first}", reader.replace("{names}", "header=None, nrows=1, "))
        found = found.replace("{reader}", reader.replace("{names}", names))
    else:
        found = NAMED.replace("{reader}", reader.replace("{names}", ""))
        found = found.replace("{names}", REPAIRED_NAMES if table.is_renamed else PLAIN_NAMES)
    source = READ.replace("{table}", _settings(given, dialect) + found)
    return [inspect.getsource(names_as_trained), source] if table.is_renamed else [source]


def _settings(given: str, dialect: Mapping[str, Any]) -> str:
    """What the reader of a kind of file is told."""
    encoding = str(dialect.get("encoding") or "utf-8")
    odd = ', "encoding_errors": "replace"' if encoding == "cp1252" else ""
    if "skipped_lines" in dialect:
        odd += f', "skiprows": {int(dialect["skipped_lines"])}'
    source = (
        SETTINGS[given]
        .replace("{delimiter}", literal(str(dialect.get("delimiter") or ",")))
        .replace("{encoding}", literal("utf-8-sig" if encoding == "utf-8" else encoding))
        .replace("{odd}", odd)
    )
    return source + _place(dialect)


def _place(dialect: Mapping[str, Any]) -> str:
    """What the reader is told of cells that are not of the table, and of where that is in a workbook."""
    if "cut_at" in dialect:  # only this engine can
        cut = int(dialect["cut_at"])
        return f'    how |= {{"engine": "python", "on_bad_lines": lambda row: row[:{cut}]}}\n'
    told = {"sheet": "sheet_name", "rows_before": "skiprows"}
    parts = [f'"{there}": {int(dialect[name])}' for name, there in told.items() if name in dialect]
    if "columns_before" in dialect:
        columns = f"{int(dialect['columns_before'])}, {int(dialect['columns_end'])}"
        parts.append(f'"usecols": list(range({columns}))')
    return f"    how |= {{{', '.join(parts)}}}\n" if parts else ""


def prepare_source(table: Table, *, target: str) -> list[str]:
    """The functions that make a matrix of what was read.

    `target` says how its labels are written; "number" if it is one.
    """
    writings, kinds = table.writings, table.columns.values()
    parts = []
    if {"number", "numbers"} & {*kinds, *writings, target}:
        number, between = GROUPED["," if table.decimal == "," else "."]
        source = NUMBERS.replace("{decimal}", DECIMAL_COMMA if table.decimal == "," else "")
        parts.append(source.replace("{number}", number).replace("{between}", between))
    if writings:
        source = CODES.replace("{unknown}", UNKNOWN if table.has_others else "")
        source = source.replace("{found}", "found = " if table.has_others else "return ")
        parts.append(source.replace("{levels}", "\n".join(_levels(writings))))
        if len(writings) == 1:
            parts[-1] = parts[-1].replace("(cells, kind)", "(cells)")
    if table.codes:
        parts += _code_parts(table)
    if table.dates:
        wanted = {part for _, names in table.dates.values() for part in names}
        told = [f"        {literal(name)}: {found}," for name, found in PARTS.items() if name in wanted]
        days = DAYS if any(form == DAY_NUMBER for form, _ in table.dates.values()) else ""
        parts.append(DATES.replace("{parts}", "\n".join(told)).replace("{days}", days))
    if "text" in kinds:
        is_old = table.components is None
        count = FEW_WORDS if is_old else MANY_WORDS.replace("{most}", str(table.components))
        if table.places is not None:
            parts.append(words_source(told=table.tells_words))
        parts.append(
            WORDS.replace("{count}", count)
            .replace("{scale}", "" if is_old else SCALE)
            .replace("{arguments}", "cells, slots" if table.tells_words else "cells")
            .replace("{lengths}", "" if table.places is None else LENGTHS)
            .replace("{places}", PLACES if table.tells_words else "")
        )
    return [*parts, _prepare(table)]


def _code_parts(table: Table) -> list[str]:
    """The functions of `automl.engine.inference.codes`, and what is made of them."""
    source = inspect.getsource(codes)
    how = ", kind" if len(table.writings) > 1 else ""
    call = 'lambda level: numbers_in(level, ",")' if table.decimal == "," else "numbers_in"
    if table.lakhs:
        call = "lambda level: numbers_in(level, lakhs=name in IN_LAKHS)"
    made = CODE_PARTS.replace("{kind}", how).replace("{numbers_in}", call)
    return [source[source.index("# With thousands") :], made]


def words_source(*, told: bool) -> str:
    """The functions of `automl.engine.inference.words` that prepare texts, perhaps word by word."""
    source = inspect.getsource(words)
    if told:
        return source[source.index("NUMBER =") :]
    constant = next(line for line in source.splitlines() if line.startswith("NUMBER ="))
    return f"{constant}\n\n\n{inspect.getsource(words.with_lengths)}"


def _levels(writings: Sequence[str]) -> list[str]:
    if len(writings) == 1:
        return [f"    levels = {LEVELS[writings[0]]}"]
    lines = []
    for place, how in enumerate(writings):
        opening = "elif" if place else "if"
        condition = "else" if place == len(writings) - 1 else f'{opening} kind.endswith("{how}")'
        lines += [f"    {condition}:", f"        levels = {LEVELS[how]}"]
    return lines


def _prepare(table: Table) -> str:
    kinds = set(table.columns.values())
    arguments = "cells, SLOTS[name]" if table.tells_words else "cells"
    branches = [
        (f'kind == "{kind}"', line.replace("{arguments}", arguments))
        for kind, line in STEPS.items()
        if kind in kinds
    ]
    if table.writings:
        how = ", kind" if len(table.writings) > 1 else ""
        parts = f" | code_parts(name, cells{how})" if table.codes else ""
        branches.append(("", f"found = {{name: codes(cells{how})}}{parts}"))
    loop = "for name, kind in COLUMNS.items():"
    body = [f"        {branches[0][1]}"]
    if len(branches) == 1:
        loop = loop if "kind" in body[0] else "for name in COLUMNS:"
    else:
        *others, (_, last) = branches
        body = [
            line
            for place, (condition, step) in enumerate(others)
            for line in (f"        {'elif' if place else 'if'} {condition}:", f"            {step}")
        ]
        body += ["        else:", f"            {last}"]
    return PREPARE.replace("{loop}", loop).replace("{body}", "\n".join(body))
