"""The main job from a terminal: upload a table, watch the leaderboard fill, take the model home, predict.

Everything between the service and this script goes through the REST API. Run it with `make demo`. It uses
the service that answers at AUTOML_PORT, or starts one and stops it at the end. Against a service of somebody
else's, set AUTOML_TOKEN.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from automl.client import Client, Unauthorized
from automl.client.errors import ClientError
from automl.client.shapes import Experiment, LeaderboardRow

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "examples" / "wine_quality_white.csv"
TARGET = "quality"
HELD_OUT = 5  # one row in so many is kept from the service, to judge its model
PORT = int(os.environ.get("AUTOML_PORT", "8000"))
BUDGET = float(os.environ.get("DEMO_SECONDS", "30"))
URL = f"http://127.0.0.1:{PORT}"

Row = dict[str, str]
console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())


class DemoError(Exception):
    """The demo can't go on; the text says why and what to do."""


def main() -> int:
    began = time.monotonic()
    try:
        with service(), tempfile.TemporaryDirectory(prefix="bakeoff-demo-") as folder:
            run(Path(folder))
    except Unauthorized:
        console.print(f"{URL} does not know our token. Set AUTOML_TOKEN, or AUTOML_PORT to a free port.")
        return 1
    except (DemoError, ClientError) as error:
        console.print(f"The demo stopped: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")
    return 0


def run(folder: Path) -> None:
    with Client(URL, token()) as client:
        kept, held_out = split(folder / TABLE.name)
        step(f"Uploading {TABLE.name}: {kept} rows; {len(held_out)} more are held out")
        dataset = client.datasets.wait(client.datasets.upload(folder / TABLE.name)["id"], timeout=120)
        kinds = Counter(column["kind"] for column in dataset["columns"])
        console.print(f"  {dataset['rows']} rows; columns: {', '.join(f'{n} {k}' for k, n in kinds.items())}")

        step(f"Searching for {BUDGET:.0f} s")
        experiment = client.experiments.create(dataset["id"], TARGET, time_budget=BUDGET, name="Demo")
        experiment = watch(client, experiment["id"])

        step("Taking the model home")
        bundle = download(client, str(experiment["model"]))
        python = clean_environment(bundle, folder / "clean")

        step("Predicting there with predict.py, which knows nothing of the service")
        predictions = predict(python, bundle, held_out, folder)
        show_predictions(held_out, predictions)
        judge(held_out, predictions)
        console.print(
            f"\nThe model is in {bundle}; the experiment is at {URL}/experiments/{experiment['id']}/"
        )


# --- The service ----------------------------------------------------------------------------


@contextmanager
def service() -> Iterator[None]:
    """Use the service that answers, or one started for the demo and stopped after it."""
    if is_live():
        console.print(f"Using the service at {URL}")
        yield
        return
    log = home() / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    step("Starting the service")
    with log.open("wb") as output:
        # A group of its own: Ctrl-C is for the demo, which then stops the service.
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "serve"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        until(lambda: is_ready() or process.poll() is not None, seconds=120, what="the service to start")
        if process.poll() is not None:
            raise DemoError(f"the service did not start:\n{log.read_text()[-2000:]}")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def home() -> Path:
    return Path(os.environ.get("AUTOML_HOME", ROOT / "var"))


def is_live() -> bool:
    return answers("health/live/")


def is_ready() -> bool:
    return answers("health/ready/")


def answers(path: str) -> bool:
    try:
        return httpx.get(f"{URL}/api/v1/{path}", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def token() -> str:
    """A token of the administrator, so that the experiment can be seen after signing in."""
    if given := os.environ.get("AUTOML_TOKEN"):
        return given
    command = [sys.executable, str(ROOT / "manage.py"), "token", "admin"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DemoError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)


# --- The search -----------------------------------------------------------------------------


def watch(client: Client, id: str) -> Experiment:
    """Show the leaderboard until the search is over."""
    show = LiveBoard(client) if console.is_terminal else PlainBoard(client)
    with show:
        found = client.experiments.wait(id, on_change=show, interval=0.5, timeout=BUDGET + 120)
    rows = client.experiments.leaderboard(id)
    console.print(board(found, rows))
    if found["status"] != "complete" or not found["model"]:
        raise DemoError(f"the experiment ended as {found['status']}: {found['error']}")
    trials = found["trials"]
    console.print(
        f"  {trials['complete']} trials complete, {trials['pruned']} pruned, {trials['failed']} failed; "
        f"{found['metric']} {rows[0]['score']:.4f} by {rows[0]['name']}"
    )
    return found


class LiveBoard:
    """A progress bar with the leaderboard below it, redrawn in place."""

    def __init__(self, client: Client) -> None:
        self._client = client
        columns = TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.percentage:>3.0f} %")
        self._bar = Progress(*columns)
        self._task = self._bar.add_task("", total=1.0)
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveBoard:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, experiment: Experiment) -> None:
        self._bar.update(self._task, completed=experiment["progress"], description=experiment["phase"])
        rows = self._client.experiments.leaderboard(experiment["id"])
        self._live.update(Group(self._bar, board(experiment, rows)))


class PlainBoard:
    """A line for every new best, for where nothing can be redrawn."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._best: float | None = None
        self._said = 0.0

    def __enter__(self) -> PlainBoard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, experiment: Experiment) -> None:
        rows = self._client.experiments.leaderboard(experiment["id"])
        now = f"  {experiment['elapsed']:5.1f} s {100 * experiment['progress']:3.0f} %"
        if rows and rows[0]["score"] != self._best:
            self._best, self._said = rows[0]["score"], time.monotonic()
            console.print(f"{now}  {experiment['metric']} {self._best:.4f}  {rows[0]['name']}")
        elif time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            console.print(f"{now}  {experiment['trials']['complete']} trials")


def board(experiment: Experiment, rows: Sequence[LeaderboardRow]) -> Table:
    table = Table("", "model", str(experiment["metric"]), "95 % interval", "fit, s", box=None, pad_edge=False)
    for row in rows[:10]:
        interval = "" if row["score_low"] is None else f"{row['score_low']:.4f} to {row['score_high']:.4f}"
        fit = "" if row["fit_time"] is None else f"{row['fit_time']:.1f}"
        score = "" if row["score"] is None else f"{row['score']:.4f}"
        table.add_row(str(row["rank"] or ""), row["name"], score, interval, fit)
    return table


# --- The model, away from the service -------------------------------------------------------


def download(client: Client, model: str) -> Path:
    """Save the bundle (the client checks its hash) and unpack it."""
    client.models.wait(model, timeout=120)
    folder = home() / "demo" / f"model-{model}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = client.models.download(model, folder.with_suffix(".zip"))
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
    inside = next(folder.rglob("predict.py")).parent
    console.print(
        f"  {archive}: {archive.stat().st_size / 1024:.0f} KiB, {len(list(inside.iterdir()))} files"
    )
    return inside


def clean_environment(bundle: Path, target: Path) -> Path:
    """An environment with nothing in it but the bundle's own requirements."""
    python = target / "bin" / "python"
    requirements = bundle / "requirements.txt"
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if uv := shutil.which("uv", path=search):
        call([uv, "venv", "--quiet", "--python", sys.executable, str(target)])
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python)]
    else:
        call([sys.executable, "-m", "venv", str(target)])
        install = [str(python), "-m", "pip", "install", "--quiet"]
    call([*install, "-r", str(requirements)])
    console.print("  a clean environment with the packages of its requirements.txt")
    return python


def predict(python: Path, bundle: Path, held_out: list[Row], folder: Path) -> list[Row]:
    unseen, answer = folder / "unseen.csv", folder / "predicted.csv"
    write(unseen, [{name: value for name, value in row.items() if name != TARGET} for row in held_out])
    call([str(python), "predict.py", str(unseen), str(answer)], cwd=bundle)
    with answer.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(held_out):
        raise DemoError(f"{len(held_out)} rows went in, {len(rows)} came out")
    return rows


def call(command: list[str], *, cwd: Path | None = None) -> None:
    # Neither our packages nor our settings reach the other environment.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO", "AUTOML"))
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def show_predictions(rows: list[Row], predictions: list[Row]) -> None:
    table = Table("quality", "prediction", "how sure", box=None, pad_edge=False)
    for row, predicted in list(zip(rows, predictions, strict=True))[:5]:
        chance = predicted.get(f"probability_{predicted['prediction']}")
        table.add_row(row[TARGET], predicted["prediction"], f"{100 * float(chance):.0f} %" if chance else "")
    console.print(table)


def judge(rows: list[Row], predictions: list[Row]) -> None:
    """Compare with the rows that the service never saw."""
    truth = [row[TARGET] for row in rows]
    columns = [f"probability_{value}" for value in truth]
    if not any(name.startswith("probability_") for name in predictions[0]):
        errors = [float(t) - float(p["prediction"]) for t, p in zip(truth, predictions, strict=True)]
        console.print(
            f"  On {len(rows)} held-out rows: RMSE {math.sqrt(sum(e * e for e in errors) / len(errors)):.3f}"
        )
        return
    shares = Counter(truth)
    common, count = shares.most_common(1)[0]
    right = sum(t == p["prediction"] for t, p in zip(truth, predictions, strict=True))
    # A class that only the held-out rows have has no column; nobody could have predicted it.
    chances = [max(float(row.get(name, 0)), 1e-15) for name, row in zip(columns, predictions, strict=True)]
    loss = -sum(map(math.log, chances)) / len(chances)
    prior = -sum(math.log(shares[value] / len(truth)) for value in truth) / len(truth)
    console.print(
        f"  On {len(rows)} held-out rows: accuracy {right / len(rows):.3f} "
        f"(always answering {common}: {count / len(rows):.3f})\n"
        f"  Log loss {loss:.3f} (knowing only how frequent each is: {prior:.3f})"
    )


# --- The table ------------------------------------------------------------------------------


def split(target: Path) -> tuple[int, list[Row]]:
    """Keep one row in HELD_OUT from the service; the rest goes to the target file."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [row for number, row in enumerate(rows) if number % HELD_OUT]
    write(target, kept)
    return len(kept), rows[::HELD_OUT]


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def step(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


if __name__ == "__main__":
    sys.exit(main())
