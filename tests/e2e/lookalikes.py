"""Tables like five public ones: the same columns, kinds, classes, gaps and skew, all of it made up.

Where the environment variable AUTOML_PUBLIC_TABLES names a folder that has the real ones, those are read
instead: AUTOML_PUBLIC_ROWS of their rows, 0 for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

REAL_ROWS = 1_500
LETTERS = [chr(65 + code) for code in range(26)]


def is_real() -> bool:
    """Whether the real tables are read."""
    return bool(os.environ.get("AUTOML_PUBLIC_TABLES"))


@dataclass(frozen=True)
class PublicTable:
    """A table that everybody knows, what is to be predicted, and how one like it is made."""

    name: str
    target: str
    task_type: str
    make: Callable[[np.random.Generator, int], pd.DataFrame]
    rows: int = 420

    def write(self, folder: Path) -> Path:
        """The table as a CSV file: the real one where there is one."""
        path = folder / f"{self.name}.csv"
        self.frame().to_csv(path, index=False)
        return path

    def frame(self) -> pd.DataFrame:
        if not is_real():
            return self.make(np.random.default_rng(3), self.rows)
        (path,) = Path(os.environ["AUTOML_PUBLIC_TABLES"]).glob(f"{self.name}.csv*")
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows = int(os.environ.get("AUTOML_PUBLIC_ROWS", REAL_ROWS)) or len(frame)
        return frame.sample(min(rows, len(frame)), random_state=0).sort_index()


def _chance(signal: np.ndarray, share: float) -> np.ndarray:
    """Probabilities that follow a signal, and are about so high on average."""
    steep = 1.8 * (signal - np.quantile(signal, 1 - share)) / signal.std()
    return 1 / (1 + np.exp(-2 * steep))


def adult(luck: np.random.Generator, rows: int) -> pd.DataFrame:
    age, schooling = luck.integers(17, 90, rows), luck.integers(1, 17, rows)
    gain = np.where(luck.random(rows) < 0.08, luck.integers(114, 99_999, rows), 0)
    home = luck.choice(["Husband", "Not-in-family", "Own-child", "Unmarried", "Wife"], rows)
    hours = luck.normal(40, 12, rows).clip(1, 99).round().astype(int)
    is_married = np.isin(home, ["Husband", "Wife"])
    signal = 0.25 * schooling + 0.02 * age + 1.6 * is_married + gain / 8_000 + 0.03 * hours
    other = luck.choice(["Mexico", "?", "Philippines", "Germany", "Puerto-Rico"], rows)
    return pd.DataFrame(
        {
            "age": age,
            "workclass": luck.choice(["Private", "Self-emp-not-inc", "Local-gov", "?"], rows),
            "fnlwgt": luck.lognormal(12, 0.5, rows).astype(int),
            "education": [f"{grade}th" if grade < 9 else f"Level-{grade}" for grade in schooling],
            "education-num": schooling,
            "marital-status": np.where(is_married, "Married-civ-spouse", "Never-married"),
            "occupation": luck.choice(["Prof-specialty", "Craft-repair", "Sales", "?"], rows),
            "relationship": home,
            "race": luck.choice(["White", "Black", "Asian-Pac-Islander"], rows, p=[0.86, 0.1, 0.04]),
            "sex": luck.choice(["Male", "Female"], rows, p=[0.67, 0.33]),
            "capital-gain": gain,
            "capital-loss": np.where(luck.random(rows) < 0.05, luck.integers(155, 4_356, rows), 0),
            "hours-per-week": hours,
            "native-country": np.where(luck.random(rows) < 0.9, "United-States", other),
            "income": np.where(luck.random(rows) < _chance(signal, 0.24), ">50K", "<=50K"),
        }
    )


def titanic(luck: np.random.Generator, rows: int) -> pd.DataFrame:
    sex, deck = luck.choice(["male", "female"], rows, p=[0.65, 0.35]), luck.choice([1, 2, 3], rows)
    age = np.where(luck.random(rows) < 0.2, np.nan, luck.normal(30, 14, rows).clip(0.42, 80).round(1))
    cabin = [f"{letter}{number}" for letter in "ABCDE" for number in range(1, 30)]
    titles = np.where(sex == "male", "Mr.", "Mrs.")
    names = luck.choice(["Braund", "O'Leary", "Vander Planke", "Åkerman"], rows)
    signal = 2.4 * (sex == "female") - 0.9 * deck - 0.01 * np.nan_to_num(age, nan=30)
    return pd.DataFrame(
        {
            "PassengerId": np.arange(1, rows + 1),
            "Survived": (luck.random(rows) < _chance(signal, 0.38)).astype(int),
            "Pclass": deck,
            "Name": [
                f"{name}, {title} Passenger {row}"
                for row, (name, title) in enumerate(zip(names, titles, strict=True))
            ],
            "Sex": sex,
            "Age": age,
            "SibSp": luck.poisson(0.5, rows),
            "Parch": luck.poisson(0.4, rows),
            "Ticket": [f"PC {number}" for number in luck.integers(10_000, 30_000, rows)],
            "Fare": (luck.lognormal(2.9, 0.9, rows) * (4 - deck) / 2).round(4),
            "Cabin": np.where(luck.random(rows) < 0.77, None, luck.choice(cabin, rows)),
            "Embarked": luck.choice(["S", "C", "Q"], rows, p=[0.72, 0.19, 0.09]),
        }
    )


def letter(luck: np.random.Generator, rows: int) -> pd.DataFrame:
    columns = (
        "xbox ybox width height onpix xbar ybar x2bar y2bar xybar x2ybar xy2bar xedge xedgey yedge yedgex"
    )
    code = np.arange(rows) % len(LETTERS)
    centres = luck.uniform(3, 12, (len(LETTERS), len(columns.split())))
    cells = (centres[code] + luck.normal(0, 1.9, (rows, centres.shape[1]))).round().clip(0, 15).astype(int)
    return pd.DataFrame(
        {"letter": [LETTERS[each] for each in code], **dict(zip(columns.split(), cells.T, strict=True))}
    )


def california_housing(luck: np.random.Generator, rows: int) -> pd.DataFrame:
    homes, income = luck.lognormal(6, 0.7, rows).round() + 1, luck.lognormal(1.25, 0.45, rows)
    latitude = luck.choice([34.0, 37.6], rows) + luck.normal(0, 0.6, rows)
    inland = luck.random(rows) < 0.32
    coast = luck.choice(["<1H OCEAN", "NEAR OCEAN", "NEAR BAY"], rows, p=[0.65, 0.19, 0.16])
    value = 52_000 * income * np.where(inland, 0.6, 1.1) * luck.lognormal(0, 0.25, rows)
    bedrooms = (homes * luck.normal(1.08, 0.05, rows)).round()
    return pd.DataFrame(
        {
            "longitude": (-119.6 - 1.1 * (latitude - 35.6) + luck.normal(0, 0.6, rows)).round(2),
            "latitude": latitude.round(2),
            "housing_median_age": luck.integers(1, 53, rows).astype(float),
            "total_rooms": (homes * luck.normal(5.3, 0.9, rows).clip(2)).round(),
            "total_bedrooms": np.where(luck.random(rows) < 0.01, np.nan, bedrooms),
            "population": (homes * luck.normal(2.9, 0.5, rows).clip(1)).round(),
            "households": homes,
            "median_income": income.clip(0.5, 15).round(4),
            "median_house_value": value.clip(14_999, 500_001).round(),
            "ocean_proximity": np.where(inland, "INLAND", coast),
        }
    )


def medicare_charges(luck: np.random.Generator, rows: int) -> pd.DataFrame:
    hospital, group = luck.integers(0, 60, rows), luck.integers(0, 45, rows)
    state = np.array(["CA", "FL", "TX"])[hospital % 3]
    price = np.exp(luck.normal(0, 0.45, 60))[hospital] * np.exp(luck.normal(10.7, 0.7, 45))[group]
    discharges = luck.lognormal(3.2, 0.9, rows).astype(int) + 11
    return pd.DataFrame(
        {
            "DRG Definition": [
                f"{100 + each} - DISORDERS OF THE {each}TH ORGAN, W/O COMPLICATIONS & W MCC" for each in group
            ],
            "Provider Id": 50_002 + 7 * hospital,
            "Provider Name": [f"SAINT {chr(65 + each % 26)} MEDICAL CENTER" for each in hospital],
            "Provider Street Address": [f"{100 + each} E ROLLINS ST" for each in hospital],
            "Provider City": [f"CITY {each % 40}" for each in hospital],
            "Provider State": state,
            "Provider Zip Code": 32_034 + 917 * hospital,
            "Hospital Referral Region (HRR) Description": [
                f"{place} - Region {each % 7}" for place, each in zip(state, hospital, strict=True)
            ],
            "Total Discharges": [f"{each:,}" for each in discharges],
            "Average Covered Charges": (price * luck.lognormal(0, 0.25, rows)).round(2),
            "lat": (25 + hospital * 0.27).round(4),
            "lon": (-124 + hospital * 0.73).round(4),
        }
    )


TABLES = {
    table.name: table
    for table in (
        PublicTable("adult", "income", "binary", adult),
        PublicTable("titanic", "Survived", "binary", titanic),
        PublicTable("letter", "letter", "multiclass", letter, rows=260),
        PublicTable("california_housing", "median_house_value", "regression", california_housing),
        PublicTable("medicare_charges", "Average Covered Charges", "regression", medicare_charges),
    )
}
