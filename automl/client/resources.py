"""Datasets, experiments and models as a program uses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from automl.client.errors import WorkFailed
from automl.client.files import Progress, download, upload_form
from automl.client.shapes import (
    Dataset,
    Diagnosis,
    Experiment,
    Insight,
    LeaderboardRow,
    Model,
    Predictions,
    Preview,
    Sweep,
    Trial,
)
from automl.client.transport import Transport

FINAL = frozenset({"complete", "cancelled", "failed"})


class Datasets:
    """Uploaded tables."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self, path: str | os.PathLike[str], *, name: str = "", on_progress: Progress | None = None
    ) -> Dataset:
        """Upload a table, streamed from disk.

        Parameters
        ----------
        path : path
            CSV, TSV, Parquet or XLSX; CSV and TSV also gzipped.
        name : str
            The file's own name if left out.
        on_progress : callable, optional
            Called with the bytes sent and the bytes in all.

        Returns
        -------
        Dataset
            Being profiled; see `wait`.
        """
        path = Path(path)

        with path.open("rb") as file:
            form, data = upload_form(path, file, on_progress), {"name": name} if name else {}
            return cast(Dataset, self._transport.call("POST", "datasets/", make=form, data=data).json())

    def get(self, id: str) -> Dataset:
        """Give one dataset."""
        return cast(Dataset, self._transport.get(f"datasets/{id}/"))

    def list(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """Walk over the datasets, newest first; `limit` is the size of a page."""
        return self._transport.pages("datasets/", limit=limit)

    def wait(
        self,
        id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[Dataset], None] | None = None,
        interval: float | None = 0.2,
    ) -> Dataset:
        """Wait until the dataset is ready, or raise `WorkFailed` with the reason why it can't be read."""
        dataset: Dataset = self._transport.wait(
            f"datasets/{id}/",
            done=lambda d: d["status"] != "profiling",
            timeout=timeout,
            on_change=on_change,
            interval=interval,
        )
        if dataset["status"] == "failed":
            raise WorkFailed(dataset["error"])
        return dataset

    def preview(self, id: str, *, rows: int = 20, offset: int = 0) -> Preview:
        """Give the first rows."""
        return cast(Preview, self._transport.get(f"datasets/{id}/preview/", rows=rows, offset=offset))

    def change(self, id: str, *, kinds: Mapping[str, str] | None = None, name: str | None = None) -> Dataset:
        """Correct the kinds of columns, or the name."""
        body: dict[str, Any] = {} if name is None else {"name": name}
        if kinds is not None:
            body["columns"] = [{"name": column, "kind": kind} for column, kind in kinds.items()]
        return cast(Dataset, self._transport.call("PATCH", f"datasets/{id}/", json=body).json())

    def delete(self, id: str) -> None:
        """Delete a dataset with its experiments and models."""
        self._transport.call("DELETE", f"datasets/{id}/")


class Experiments:
    """Searches for a model."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, dataset: str, target: str, **settings: Any) -> Experiment:
        """Start an experiment.

        Parameters
        ----------
        dataset, target : str
            The dataset's id and the column to predict.
        **settings
            ``task_type``, ``metric``, ``search``, ``time_budget``, ``max_trials``, ``families``,
            ``ignore_columns``, ``test_dataset``, ``seed``, ``seats`` and ``name``, as docs/api.md says.
        """
        body = {"dataset": dataset, "target": target, **settings}
        return cast(Experiment, self._transport.post("experiments/", body))

    def get(self, id: str) -> Experiment:
        """Give one experiment."""
        return cast(Experiment, self._transport.get(f"experiments/{id}/"))

    def list(self, *, limit: int | None = None) -> Iterator[Experiment]:
        """Walk over the experiments, newest first; `limit` is the size of a page."""
        return self._transport.pages("experiments/", limit=limit)

    def wait(
        self,
        id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[Experiment], None] | None = None,
        interval: float | None = None,
    ) -> Experiment:
        """Wait for the end. A cancelled experiment is given back, a failed one raises `WorkFailed`."""
        experiment: Experiment = self._transport.wait(
            f"experiments/{id}/",
            done=lambda e: e["status"] in FINAL,
            timeout=timeout,
            on_change=on_change,
            interval=interval,
        )
        if experiment["status"] == "failed":
            raise WorkFailed(experiment["error"])
        return experiment

    def leaderboard(self, id: str) -> Sequence[LeaderboardRow]:
        """Give the rows, best first."""
        return [*self._transport.pages(f"experiments/{id}/leaderboard/")]

    def insight(self, id: str, family: str | None = None) -> Insight:
        """Give which hyperparameters of a family decided, and whether tuning was worth it."""
        return cast(Insight, self._transport.get(f"experiments/{id}/insight/", family=family))

    def trials(self, id: str) -> Iterator[Trial]:
        """Walk over every trial, also the pruned and failed ones."""
        return self._transport.pages(f"experiments/{id}/trials/", limit=500)

    def trial(self, id: str) -> Trial:
        """Give one trial, by its own id."""
        return cast(Trial, self._transport.get(f"trials/{id}/"))

    def add_trial(self, id: str, family: str, hyperparameters: Mapping[str, Any] | None = None) -> Trial:
        """Add a trial by hand; what is left out keeps its default."""
        body = {"family": family, "hyperparameters": dict(hyperparameters or {})}
        return cast(Trial, self._transport.post(f"experiments/{id}/trials/", body))

    def compare(self, id: str, trials: Sequence[str], *, timeout: float | None = None) -> Diagnosis:
        """Hold trials against each other, row by row; `ensemble` stands for the best one."""
        query = "&".join(f"trial={quote(trial)}" for trial in trials)
        return _diagnosis(self._transport, f"experiments/{id}/compare/?{query}", timeout)

    def sweep(
        self,
        id: str,
        family: str,
        grid: Mapping[str, Sequence[Any]],
        base: Mapping[str, Any] | None = None,
    ) -> Sweep:
        """Try every combination of some values.

        Parameters
        ----------
        id, family : str
        grid : mapping of str to list
            Dials with the values to try.
        base : mapping, optional
            Other dials; those in neither keep their defaults.
        """
        values = {name: [*each] for name, each in grid.items()}
        body = {"family": family, "grid": values, "base": dict(base or {})}
        return cast(Sweep, self._transport.post(f"experiments/{id}/sweeps/", body))

    def sweeps(self, id: str) -> Iterator[Sweep]:
        """Walk over the sweeps, newest first."""
        return self._transport.pages(f"experiments/{id}/sweeps/")

    def pause(self, id: str) -> Experiment:
        """Let a search rest; its clock stands still."""
        return cast(Experiment, self._transport.post(f"experiments/{id}/pause/"))

    def resume(self, id: str) -> Experiment:
        """Go on with a paused search."""
        return cast(Experiment, self._transport.post(f"experiments/{id}/resume/"))

    def extend(self, id: str, seconds: float | None = None, **limits: int | None) -> Experiment:
        """Add seconds to a search, also to one that has ended.

        Parameters
        ----------
        id : str
        seconds : float, optional
            How many to add.
        **limits
            ``max_trials``: the new limit; None for no limit.
        """
        body = {**limits, **({} if seconds is None else {"time_budget": seconds})}
        return cast(Experiment, self._transport.post(f"experiments/{id}/extend/", body))

    def change(self, id: str, **limits: float | None) -> Experiment:
        """Set ``time_budget``, ``max_trials`` or ``seats`` of a search; what is left out stays."""
        return cast(Experiment, self._transport.call("PATCH", f"experiments/{id}/", json=limits).json())

    def cancel(self, id: str) -> Experiment:
        """End an experiment without a model."""
        return cast(Experiment, self._transport.post(f"experiments/{id}/cancel/"))

    def stop(self, id: str) -> Experiment:
        """End the search and keep the best."""
        return cast(Experiment, self._transport.post(f"experiments/{id}/stop/"))

    def delete(self, id: str) -> None:
        """Delete an experiment with its trials and models."""
        self._transport.call("DELETE", f"experiments/{id}/")


class Trials:
    """Configurations tried, by their own ids."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: str) -> Trial:
        """Give one trial."""
        return cast(Trial, self._transport.get(f"trials/{id}/"))

    def diagnostics(self, id: str, *, timeout: float | None = None) -> Diagnosis:
        """What a trial gets right and wrong; the first time this takes some seconds."""
        return _diagnosis(self._transport, f"trials/{id}/diagnostics/", timeout)

    def skip(self, id: str) -> Trial:
        """Leave out a trial that waits or runs."""
        return cast(Trial, self._transport.post(f"trials/{id}/skip/"))


class Models:
    """Packaged trials and ensembles."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: str) -> Model:
        """Give one model."""
        return cast(Model, self._transport.get(f"models/{id}/"))

    def list(self, *, limit: int | None = None) -> Iterator[Model]:
        """Walk over the models, newest first; `limit` is the size of a page."""
        return self._transport.pages("models/", limit=limit)

    def package(self, trial: str) -> Model:
        """Have a trial packaged; see `wait`."""
        return cast(Model, self._transport.post(f"trials/{trial}/model/"))

    def package_ensemble(self, ensemble: str) -> Model:
        """Have an ensemble packaged, also one that is not the best of its board; see `wait`."""
        return cast(Model, self._transport.post(f"ensembles/{ensemble}/model/"))

    def package_best(self, experiment: str) -> Model:
        """Have the best line of a board packaged, an ensemble too; see `wait`."""
        return cast(Model, self._transport.post(f"experiments/{experiment}/models/", {"choose": "best"}))

    def package_fastest(self, experiment: str, within: float = 0.01) -> Model:
        """Have the line packaged that predicts fastest of those within a share of the best; see `wait`."""
        body = {"choose": "fastest", "within": within}
        return cast(Model, self._transport.post(f"experiments/{experiment}/models/", body))

    def diagnostics(self, id: str, *, timeout: float | None = None) -> Diagnosis:
        """What a model gets right and wrong; the first time this takes some seconds."""
        return _diagnosis(self._transport, f"models/{id}/diagnostics/", timeout)

    def wait(
        self, id: str, *, graph: bool = False, timeout: float | None = None, interval: float | None = None
    ) -> Model:
        """Wait until the model is ready, or raise `WorkFailed` with the reason.

        With `graph` also until the service has tried to write a graph for which a short search did not wait.
        """
        model: Model = self._transport.wait(
            f"models/{id}/",
            done=lambda m: m["status"] != "packaging" and not (graph and m.get("graph_due")),
            timeout=timeout,
            interval=interval,
        )
        if model["status"] == "failed":
            raise WorkFailed(model["error"])
        return model

    def download(self, id: str, path: str | os.PathLike[str], *, on_progress: Progress | None = None) -> Path:
        """Save the bundle, streamed to disk; only a whole and undamaged file takes the name.

        Parameters
        ----------
        path : path
            The file to write; in a folder, the service's name for it is taken.

        Returns
        -------
        Path
            The file that was written.
        """
        return download(
            self._transport,
            f"models/{id}/download/",
            Path(path),
            fallback=f"model-{id}.zip",
            on_progress=on_progress,
        )

    def predict(
        self, id: str, rows: Sequence[Mapping[str, Any]], *, level: float | None = None
    ) -> Predictions:
        """Predict rows, each a mapping from column to value; a file is for `Client.predictions`.

        With a level, 0.9 for example, the answer has intervals, or sets of classes, that hold the truth in
        this share of rows.
        """
        body: dict[str, Any] = {"rows": [dict(row) for row in rows]}
        if level is not None:
            body["level"] = level
        answer = self._transport.call("POST", f"models/{id}/predict/", json=body, changes=False)
        return cast(Predictions, answer.json())


def _diagnosis(transport: Transport, path: str, timeout: float | None) -> Diagnosis:
    found: Diagnosis = transport.wait(path, done=lambda d: d["status"] != "computing", timeout=timeout)
    if found["status"] == "failed":
        raise WorkFailed(found["error"])
    return found
