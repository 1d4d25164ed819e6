from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from automl.client.predictions import Predictions
from automl.client.resources import Datasets, Experiments, Models, Trials
from automl.client.transport import Transport


class Client:
    """The service, from Python.

    Parameters
    ----------
    url : str
        Where the service is.
    token : str
        From the account page, or ``python manage.py token USERNAME``.
    timeout : float
        Seconds to wait for each part of an answer.
    retries : int
        How often a request is repeated when the service is away or busy, a download from its start. A
        POST carries an Idempotency-Key, so that its work is done once.

    Examples
    --------
    >>> with Client("http://127.0.0.1:8000", token) as client:            # doctest: +SKIP
    ...     dataset = client.datasets.wait(client.datasets.upload("adult.csv")["id"])
    ...     experiment = client.experiments.create(dataset["id"], "income", time_budget=60)
    ...     experiment = client.experiments.wait(experiment["id"])
    ...     client.models.download(experiment["model"], "model.zip")
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60.0, retries: int = 5) -> None:
        self._transport = Transport(url, token, timeout=timeout, retries=retries)
        self.datasets = Datasets(self._transport)
        self.experiments = Experiments(self._transport)
        self.trials = Trials(self._transport)
        self.models = Models(self._transport)
        self.predictions = Predictions(self._transport)

    def me(self) -> dict[str, Any]:
        """Give the user, the quotas and what is used of them."""
        found: dict[str, Any] = self._transport.get("me/")
        return found

    def families(self, task_type: str | None = None) -> list[dict[str, Any]]:
        """Give the families of models with their hyperparameters."""
        found: list[dict[str, Any]] = self._transport.get("families/", task_type=task_type)["results"]
        return found

    def metrics(self, task_type: str | None = None) -> list[dict[str, Any]]:
        """Give the metrics and their directions."""
        found: list[dict[str, Any]] = self._transport.get("metrics/", task_type=task_type)["results"]
        return found

    def close(self) -> None:
        """Close the connections."""
        self._transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
