from __future__ import annotations

from typing import Any

from django import forms

from automl.accounts.models import User
from automl.datasets import selectors
from automl.datasets.models import Dataset, DatasetState
from automl.engine.learners import LEARNERS, families_for
from automl.engine.metrics import METRICS, Metric
from automl.engine.trial import TaskType
from automl.experiments.models import SEARCHES
from automl.experiments.services.lifecycle import LEAST_TIME_BUDGET, ExperimentRequest

OTHER = "other"
BUDGETS = [
    ("20", "20 s"),
    ("60", "1 min"),
    ("300", "5 min"),
    ("1800", "30 min"),
    ("7200", "2 h"),
    (OTHER, "Other"),
]
TASK_TYPES = [
    ("auto", "Automatic"),
    (TaskType.BINARY.value, "One of two classes"),
    (TaskType.MULTICLASS.value, "One of several classes"),
    (TaskType.REGRESSION.value, "A number"),
]
# A manual experiment waits for trials that are added on its pages, or by program.
SEARCH_CHOICES = [
    (key, f"{label} (you add the trials)" if key == "manual" else label) for key, label in SEARCHES
]


class UploadForm(forms.Form):
    file = forms.FileField(
        error_messages={"required": "Choose a file first.", "empty": "The file is empty. Choose another."},
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.gz,.parquet,.xlsx"}),
    )
    name = forms.CharField(
        max_length=200,
        required=False,
        label="Name (optional)",
        help_text="Left blank, the file's name is taken.",
    )


class ExperimentForm(forms.Form):
    """Turns what was posted into an `ExperimentRequest`; what it may hold is checked by the service."""

    target = forms.ChoiceField(
        label="Column to predict",
        error_messages={"required": "Choose the column to predict."},
        help_text="Every other column may be used to predict it.",
    )
    task_type = forms.ChoiceField(
        label="Task type",
        choices=TASK_TYPES,
        initial="auto",
        help_text="Automatic tells it from the column's values.",
    )
    metric = forms.ChoiceField(
        initial="auto",
        help_text="How models are compared. Automatic takes ROC AUC, log loss or root mean squared error.",
    )
    budget = forms.ChoiceField(
        label="Time budget",
        choices=BUDGETS,
        initial="60",
        widget=forms.RadioSelect,
        help_text="The best model is packaged when this has passed. More time means more models tried.",
    )
    time_budget = forms.FloatField(
        label="Other budget, in seconds",
        required=False,
        widget=forms.NumberInput(attrs={"min": LEAST_TIME_BUDGET, "step": 1, "inputmode": "numeric"}),
    )
    families = forms.MultipleChoiceField(
        label="Model families",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Each of these is tried; stacked ones, which learn from what the others predict, at the "
        "end of an automatic search of 1,000 rows or more. The baseline shows what guessing would score.",
    )
    ignore_columns = forms.MultipleChoiceField(
        label="Columns to ignore",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Leave out what is not known when predicting: it makes scores look better than they are.",
    )
    search = forms.ChoiceField(
        choices=SEARCH_CHOICES, initial="auto", help_text="Automatic begins with strong defaults, then tunes."
    )
    max_trials = forms.IntegerField(
        label="Most trials",
        required=False,
        min_value=1,
        help_text="Left blank, only time limits the search. With one, the same seed gives the same trials.",
    )
    seed = forms.IntegerField(initial=0, min_value=0, help_text="Decides every random choice.")
    test_dataset = forms.ChoiceField(
        required=False,
        help_text="The best model is scored once more on these rows, which the search never sees.",
    )
    name = forms.CharField(
        label="Name (optional)",
        required=False,
        max_length=200,
        help_text="Left blank, it is named for the target and the dataset.",
    )

    def __init__(self, *args: Any, dataset: Dataset, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataset = dataset
        self.user = user
        columns = [(column["name"], column["name"]) for column in dataset.columns]
        others = selectors.list_datasets(user).filter(state=DatasetState.READY).exclude(id=dataset.id)
        choices: dict[str, Any] = {
            "target": [("", "Choose a column"), *columns],
            "metric": _metrics(),
            "families": [(key, LEARNERS[key].label) for key in families_for()],
            "ignore_columns": columns,
            "test_dataset": [
                ("", "None: judge by cross-validation"),
                *((str(id), name) for id, name in others.values_list("id", "name")[:200]),
            ],
        }
        for name, found in choices.items():
            self.fields[name].choices = found  # type: ignore[attr-defined]
        self.fields["target"].initial = dataset.suggested_target
        self.fields["families"].initial = families_for()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("budget") == OTHER:
            if data.get("time_budget") is None and "time_budget" not in self.errors:
                self.add_error("time_budget", "Say how many seconds the search may take.")
        elif "budget" in data:
            data["time_budget"] = float(data["budget"])
        if not data.get("families"):
            self.add_error("families", "Choose at least one family.")
        return data

    def request(self) -> ExperimentRequest:
        """What is asked for; all families chosen means that none is left out, now or later."""
        data = self.cleaned_data
        chosen = data["families"]
        test = data["test_dataset"]
        return ExperimentRequest(
            dataset=self.dataset,
            target=data["target"],
            task_type=data["task_type"],
            metric=data["metric"],
            search=data["search"],
            time_budget=data["time_budget"],
            max_trials=data["max_trials"],
            families=None if len(chosen) == len(families_for()) else chosen,
            ignore_columns=data["ignore_columns"],
            test_dataset=selectors.get_dataset(user=self.user, id=test) if test else None,
            seed=data["seed"],
            name=data["name"],
        )

    def refuse(self, fields: dict[str, str]) -> None:
        """Show what the service said beside the fields it said it of."""
        for name, message in fields.items():
            self.add_error(name if name in self.fields else None, message)


class ExtensionForm(forms.Form):
    """More time, said as the budget it makes in all: two people who press at once add it once."""

    time_budget = forms.FloatField(required=False)
    since = forms.FloatField(required=False)
    seconds = forms.FloatField(required=False, min_value=1)
    max_trials = forms.IntegerField(required=False, min_value=1)

    def limits(self) -> dict[str, Any]:
        """What is asked for; a field that the form did not have says nothing."""
        data = self.cleaned_data
        limits: dict[str, Any] = {}
        if data["time_budget"] is not None:
            limits["time_budget"] = data["time_budget"]
        elif data["since"] is not None and data["seconds"] is not None:
            limits["time_budget"] = data["since"] + data["seconds"]
        if "max_trials" in self.data:
            limits["max_trials"] = data["max_trials"]
        return limits


class LimitsForm(forms.Form):
    """The limits that a search that goes on may be given; blank is none."""

    max_trials = forms.IntegerField(required=False, min_value=1)
    seats = forms.IntegerField(required=False, min_value=1)
    shown_max_trials = forms.IntegerField(required=False)
    shown_seats = forms.IntegerField(required=False)

    def changes(self) -> dict[str, Any]:
        """What differs from what the page showed: the rest may be somebody else's change meanwhile."""
        found, changed = self.cleaned_data, {}
        for name in ("max_trials", "seats"):
            if f"shown_{name}" not in self.data or found[name] != found[f"shown_{name}"]:
                changed[name] = found[name]
        return changed


def _metrics() -> list[Any]:
    """The choices, with a heading for each kind of target."""
    numbers = [m for m in METRICS.values() if TaskType.REGRESSION in m.task_types]
    classes = [m for m in METRICS.values() if TaskType.REGRESSION not in m.task_types]
    return [
        ("auto", "Automatic"),
        ("Classes", [(m.name, _label(m)) for m in classes]),
        ("Numbers", [(m.name, _label(m)) for m in numbers]),
    ]


def _label(metric: Metric) -> str:
    only = " (two classes)" if metric.task_types == {TaskType.BINARY} else ""
    return f"{metric.label}{only}"
