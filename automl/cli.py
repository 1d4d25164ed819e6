"""The command line: `automl fit|predict|leaderboard FILE` here, `automl remote ...` on a service."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from automl.client import Client
from automl.client.errors import ClientError, NotFound
from automl.engine.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from automl.client.shapes import Experiment, FilePrediction

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finds the best model for a table.",
)
remote = typer.Typer(no_args_is_help=True)
app.add_typer(remote, name="remote")
# Names and paths are printed as they are: [final] is no style, and :x: no picture.
console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)

File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="A table: CSV, TSV, Parquet or XLSX.")
]
Bundle = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A model's file (ZIP).")]
Target = Annotated[str, typer.Option("--target", "-t", help="The column to predict.")]
Seconds = Annotated[float, typer.Option("--time", min=1, help="Seconds to search.")]
Metric = Annotated[str, typer.Option(help="What to optimise; auto follows from the target.")]
Task = Annotated[str, typer.Option(help="auto, binary, multiclass or regression.")]
Seed = Annotated[int, typer.Option(help="The same seed, data and trials give the same result.")]
Out = Annotated[Path, typer.Option(help="Where the model goes.")]
Level = Annotated[
    float | None, typer.Option(help="0.9: also intervals, or sets, that hold the truth in 90 % of rows.")
]
Id = Annotated[str, typer.Argument(help="The id of an experiment.")]
MOST_ROWS = 20
HERE = "http://127.0.0.1:8000"
MODEL = Path("model.zip")


@app.command()
def fit(
    file: File,
    target: Target,
    time: Seconds = 60.0,
    metric: Metric = "auto",
    task: Task = "auto",
    seed: Seed = 0,
    out: Out = MODEL,
) -> None:
    """Search for a model of a table and save the best."""
    with told():
        table, task_type = read(file, target, task)
        # Importing the estimators costs seconds, which `automl --help` need not.
        from automl.engine.search import AutoMLClassifier, AutoMLRegressor  # noqa: PLC0415

        kind = AutoMLRegressor if task_type == "regression" else AutoMLClassifier
        found = kind(time_budget=time, metric=metric, random_state=seed, verbose=True)
        found.fit(table.drop(columns=[target]), table[target])
        for warning in found.warnings_:
            typer.echo(warning, err=True)
        found.save(out)
    console.print(f"{found.metric_}, best first:")
    show_board(found.leaderboard_.to_dict("records"))
    console.print(f"The model is in {out}.")


def read(file: Path, target: str, task: str) -> tuple[pd.DataFrame, str]:
    """Read a table as the service does; and the task type that its target suggests, unless one is given."""
    from automl.engine import profiling, reading  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "table.arrow"
        for warning in reading.convert_table(file, stored, filename=file.name).warnings:
            typer.echo(warning, err=True)
        arrow = reading.read_stored(stored)
        if target not in arrow.column_names:
            fail(f"{file} has no column {target!r}. Its columns: {', '.join(arrow.column_names)}.")
        if task == "auto":
            task = str(
                profiling.suggest_task_type(profiling.profile_arrow(arrow.select([target])).columns[0])
            )
        return reading.read_frame(stored).dropna(subset=[target]), task


@app.command()
def predict(
    file: File,
    model: Annotated[Path, typer.Option("--model", "-m", exists=True, help="A model's file.")] = Path(
        "model.zip"
    ),
    out: Annotated[Path, typer.Option(help="Where the predictions go.")] = Path("predictions.csv"),
    level: Level = None,
) -> None:
    """Predict the rows of a table; - is the standard output."""
    on_bundle(model, str(file), str(out), *([] if level is None else [f"--level={level}"]))
    if str(out) != "-":
        console.print(f"The predictions are in {out}.")


@app.command()
def verify(
    model: Bundle,
    strict: Annotated[bool, typer.Option("--strict", help="Versions must be as pinned too.")] = False,
) -> None:
    """Check that a model's file is whole and predicts what it did when it was packaged."""
    on_bundle(model, "--verify", *(["--strict"] if strict else []))


def on_bundle(model: Path, *arguments: str) -> None:
    """Do what `predict.py` of a model's file does; with our code, since nothing of a file is run here."""
    from automl.engine.inference.command import main  # noqa: PLC0415 - it takes a second to import

    with tempfile.TemporaryDirectory() as folder:
        with told(), zipfile.ZipFile(model) as bundle:
            bundle.extractall(folder)
        schema = next(Path(folder).rglob("schema.json"), None)
        if schema is None:
            fail(f"{model} holds no schema.json; it is no model of ours.")
        code = main(arguments, folder=schema.parent)
    if code:
        raise typer.Exit(code)


@app.command()
def leaderboard(model: Bundle) -> None:
    """Show the leaderboard that a model's file holds."""
    with told(), zipfile.ZipFile(model) as bundle:
        name = next((name for name in bundle.namelist() if name.endswith("leaderboard.csv")), None)
        if name is None:
            fail(f"{model} holds no leaderboard.csv; it is no model of ours.")
        show_board(list(csv.DictReader(io.StringIO(bundle.read(name).decode("utf-8")))))


@remote.callback()
def remote_service(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="AUTOML_URL", help="Where the service is.")] = HERE,
    token: Annotated[
        str, typer.Option(envvar="AUTOML_TOKEN", help="From the account page, or `make -s token`.")
    ] = "",
) -> None:
    """The same on a running service."""
    context.obj = (url, token)


@remote.command("fit")
def remote_fit(
    context: typer.Context,
    file: File,
    target: Target,
    time: Seconds = 60.0,
    metric: Metric = "auto",
    task: Task = "auto",
    out: Out = MODEL,
) -> None:
    """Upload a table, search there, and download the best model."""
    with told(), service(context) as client:
        dataset = client.datasets.wait(client.datasets.upload(file)["id"])
        experiment = client.experiments.create(
            dataset["id"], target, time_budget=time, metric=metric, task_type=task, name=file.stem
        )
        console.print(f"Experiment {experiment['id']}")
        with searching() as show:

            def tell(found: Experiment) -> None:
                show(found["progress"], found["phase"])

            experiment = client.experiments.wait(experiment["id"], on_change=tell)
        show_board(client.experiments.leaderboard(experiment["id"]))
        save_model(client, experiment, out)


@remote.command("experiments")
def remote_experiments(context: typer.Context) -> None:
    """List the experiments, newest first."""
    table = Table("id", "name", "target", "metric", "status", "best", box=None, pad_edge=False)
    with told(), service(context) as client:
        for each in client.experiments.list():
            best = each["best"]
            score = number(best["score"]) if best else ""
            table.add_row(each["id"], each["name"], each["target"], each["metric"], each["status"], score)
    console.print(table)


@remote.command("leaderboard")
def remote_leaderboard(context: typer.Context, experiment: Id) -> None:
    """Show the leaderboard of an experiment."""
    with told(), service(context) as client:
        show_board(client.experiments.leaderboard(experiment))


@remote.command("download")
def remote_download(context: typer.Context, experiment: Id, out: Out = MODEL) -> None:
    """Download the best model of an experiment."""
    with told(), service(context) as client:
        save_model(client, client.experiments.get(experiment), out)


@remote.command("predict")
def remote_predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The id of a model, or of an experiment: then its best.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, also gzipped, or Parquet.")],
    out: Annotated[Path, typer.Argument(help="Where the predictions go: .csv, .csv.gz or .parquet.")],
    level: Level = None,
) -> None:
    """Predict the rows of a file there, whatever its size."""
    with told(), service(context) as client, searching() as show:

        def tell(found: FilePrediction) -> None:
            show(found["progress"], f"{found['rows']:,} rows")

        model = model_of(client, model)
        done = client.predictions.predict_file(model, file, out, level=level, on_change=tell)
    console.print(f"{done['rows']:,} rows are predicted in {out}.")


@remote.command("pause")
def remote_pause(context: typer.Context, experiment: Id) -> None:
    """Let a search rest; its clock stands still."""
    with told(), service(context) as client:
        show_state(client.experiments.pause(experiment))


@remote.command("resume")
def remote_resume(context: typer.Context, experiment: Id) -> None:
    """Go on with a paused search."""
    with told(), service(context) as client:
        show_state(client.experiments.resume(experiment))


@remote.command("stop")
def remote_stop(context: typer.Context, experiment: Id) -> None:
    """End a search and keep the best."""
    with told(), service(context) as client:
        show_state(client.experiments.stop(experiment))


@remote.command("cancel")
def remote_cancel(context: typer.Context, experiment: Id) -> None:
    """End a search without a model."""
    with told(), service(context) as client:
        show_state(client.experiments.cancel(experiment))


@remote.command("extend")
def remote_extend(
    context: typer.Context,
    experiment: Id,
    time: Annotated[float | None, typer.Option("--time", min=1, help="Seconds to add.")] = None,
    max_trials: Annotated[int | None, typer.Option(min=1, help="The new limit of trials.")] = None,
) -> None:
    """Add time or trials to a search, also to one that has ended."""
    limits = {} if max_trials is None else {"max_trials": max_trials}
    with told(), service(context) as client:
        show_state(client.experiments.extend(experiment, time, **limits))


@remote.command("try")
def remote_try(
    context: typer.Context,
    experiment: Id,
    family: Annotated[str, typer.Argument(help="A family, as GET families/ names it.")],
    dials: Annotated[list[str] | None, typer.Argument(help="dial=value; dial=a,b,c is a sweep.")] = None,
) -> None:
    """Add a trial by hand, or with several values of a dial a sweep, also to a search that has ended."""
    given = {name: [value_of(text) for text in values.split(",")] for name, values in pairs(dials or [])}
    grid = {name: values for name, values in given.items() if len(values) > 1}
    base = {name: values[0] for name, values in given.items() if len(values) == 1}
    with told(), service(context) as client:
        if not grid:
            trial = client.experiments.add_trial(experiment, family, base)
            console.print(f"{trial['name']} waits for a seat.")
            return
        sweep = client.experiments.sweep(experiment, family, grid, base)
        console.print(f"{len(sweep['trials'])} trials added, {sweep['skipped']} were tried before.")


def pairs(dials: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and values of arguments such as num_leaves=31."""
    for each in dials:
        name, sign, values = each.partition("=")
        if not sign or not name or not values:
            fail(f"{each!r} is no dial with a value. Write it as num_leaves=31.")
        yield name, values


def value_of(text: str) -> Any:
    """A value as JSON has it; what is none is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def service(context: typer.Context) -> Client:
    """The service that the options of `automl remote` name."""
    url, token = context.obj
    if not token:
        fail("No token. Give --token or set AUTOML_TOKEN; the account page makes one.")
    return Client(url, token)


def model_of(client: Client, id: str) -> str:
    """The id of a model; that of an experiment stands for its best."""
    try:
        return client.models.get(id)["id"]
    except NotFound:
        model = client.experiments.get(id)["model"]
        if model is None:
            fail("The experiment has no packaged model.")
        return model


def save_model(client: Client, experiment: Experiment, out: Path) -> None:
    """Download the packaged model of an experiment, when it has one."""
    model = experiment["model"]
    if model is None:
        fail(f"The experiment is {experiment['status']} and has no packaged model.")
    is_due = client.models.wait(model).get("graph_due")
    console.print(f"The model is in {client.models.download(model, out)}.")
    if is_due:
        console.print("Its ONNX graph, which answers faster, is still being written: download it again then.")


def show_state(experiment: Experiment) -> None:
    """Say in one line how an experiment stands."""
    spent, budget = number(experiment["elapsed"], 3), number(experiment["time_budget"])
    console.print(f"{experiment['name']}: {experiment['status']}, {spent} of {budget} s spent.")


def show_board(rows: Sequence[Any]) -> None:
    """Print a leaderboard's rows, from the API, the engine or a file."""
    table = Table("", "model", "score", "95 % interval", "fit, s", box=None, pad_edge=False)
    for row in rows[:MOST_ROWS]:
        low, high = number(row["score_low"]), number(row["score_high"])
        interval = f"{low} to {high}" if low and high else ""
        table.add_row(
            str(row["rank"] or ""),
            str(row["name"]),
            number(row["score"]),
            interval,
            number(row["fit_time"], 3),
        )
    console.print(table)


def number(value: Any, digits: int = 5) -> str:
    """A number for people, or nothing where there is none."""
    if value is None or value == "" or value != value:  # noqa: PLR0124 - only NaN differs from itself
        return ""
    return f"{float(value):.{digits}g}"


class Show:
    """A progress bar in a terminal; nothing elsewhere."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1.0)

    def __call__(self, progress: float, text: str) -> None:
        self._bar.update(self._task, completed=progress, description=text)


@contextmanager
def searching() -> Iterator[Show]:
    """Show how far the search is."""
    columns = TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Show(bar)


@contextmanager
def told() -> Iterator[None]:
    """Turn what the user can put right into a line on standard error and exit status 1."""
    try:
        yield
    except (UserError, ClientError, zipfile.BadZipFile, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def fail(text: str) -> NoReturn:
    """End with a line on standard error and exit status 1."""
    typer.echo(text, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
