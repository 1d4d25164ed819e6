"""Predictions with packaged models, from a process that has no heavy library itself.

`PredictionServer` is the caller's side and light; it starts ``python -m automl.engine.serving FD FOLDER``,
which keeps the models used last in memory and answers one request after the other.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, cast

from automl.engine.batches import load_bundle, predict_table
from automl.engine.errors import Retryable, UserError
from automl.engine.isolation.warm import environment

log = logging.getLogger("automl.engine.serving")

MODELS_KEPT = 4
CLOSE_SECONDS = 2.0
# Of one server's callers no more wait than this: slow predictions don't take every thread of a web server.
PLACES, PLACE_SECONDS = 4, 2.0
# With less than this of its time left a caller would end the process, models and all, for nothing.
LEAST_SHARE = 1 / 6
OWNER_CHECK_MS = 1000
# A row is a flat object: a request of this size is some hundred thousand of them.
LONGEST_LINE = 256 << 20


class Prediction(TypedDict):
    """What a model says about rows; classes, probabilities and sets only for classification."""

    predictions: list[Any]
    classes: NotRequired[list[Any]]
    probabilities: NotRequired[list[list[float]]]
    intervals: NotRequired[list[list[float]]]
    sets: NotRequired[list[list[Any]]]


Row = Mapping[str, Any]


class Predictor(Protocol):
    """A model in memory, as requests use it."""

    def rows(self, rows: Sequence[Row], level: float | None = None) -> Prediction: ...

    def table(self, source: Path, target: Path, level: float | None = None) -> dict[str, int]: ...


class _ServerGone(Exception):
    """The predictor's process died before it answered."""


class PredictionServer:
    """Predicts in a process of its own; made once, shared by all threads.

    The process is started by the first prediction, and again when it died. It ends with the
    process that made it.

    Parameters
    ----------
    threads : int
        What the numeric libraries may use; one is best for few rows.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PLACES)
        self._process: subprocess.Popen[bytes] | None = None
        self._talk: socket.socket | None = None
        self._unpacked = Path()
        self._owner = 0

    def start(self) -> None:
        """Start the process ahead of the first prediction; returns at once."""
        with self._lock:
            self._ensure()

    def predict(
        self,
        bundle: Path | str,
        rows: Sequence[Row],
        timeout: float = 60.0,
        *,
        level: float | None = None,
    ) -> Prediction:
        """Predict rows with a packaged model.

        Parameters
        ----------
        bundle : Path or str
            The bundle, a ZIP.
        rows : sequence of mapping
            Column names to JSON values; None is a missing cell.
        timeout : float
            Seconds, waiting for other predictions included.
        level : float, optional
            Also tell intervals or sets that hold the truth in this share of rows.

        Returns
        -------
        Prediction

        Raises
        ------
        UserError
            If the rows can't be used: a column is missing, a value of the wrong kind.
        Retryable
            If there was no answer in time, too many others wait for theirs, or the process died twice.
        """
        return cast(
            Prediction, self._answer({"bundle": str(bundle), "rows": list(rows), "level": level}, timeout)
        )

    def predict_table(
        self,
        bundle: Path | str,
        source: Path,
        target: Path,
        timeout: float = 60.0,
        *,
        level: float | None = None,
    ) -> int:
        """Predict a small file into a CSV file; as `predict`.

        Returns
        -------
        int
            How many rows it has.
        """
        asked = {"bundle": str(bundle), "source": str(source), "target": str(target), "level": level}
        return int(self._answer(asked, timeout)["rows"])

    def _answer(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        stop = time.monotonic() + timeout
        if not self._places.acquire(timeout=min(timeout, PLACE_SECONDS)):
            raise Retryable(f"{PLACES} other predictions are under way; try again in some seconds.")
        try:
            answer = self._in_turn(request, stop, timeout)
        finally:
            self._places.release()
        if "error" in answer:
            if answer["user_error"]:
                raise UserError(answer["error"])
            log.error("Prediction failed: %s", answer["detail"])
            raise RuntimeError(f"The model could not predict: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._drop(wait=CLOSE_SECONDS)

    def _in_turn(self, request: dict[str, Any], stop: float, timeout: float) -> dict[str, Any]:
        patience = stop - LEAST_SHARE * timeout - time.monotonic()
        if patience < 0 or not self._lock.acquire(timeout=patience):
            raise Retryable(f"Other predictions took most of {timeout:.0f} s; try again, or send fewer rows.")
        try:
            return self._ask(request, stop, timeout)
        finally:
            self._lock.release()

    def _ask(self, request: dict[str, Any], stop: float, timeout: float) -> dict[str, Any]:
        line = json.dumps(request).encode() + b"\n"
        for _ in range(2):
            talk = self._ensure()
            try:
                return cast(dict[str, Any], json.loads(_exchange(talk, line, stop)))
            except TimeoutError:
                self._drop()
                raise Retryable(f"The prediction took more than {timeout:.0f} s; send fewer rows.") from None
            except (OSError, _ServerGone) as error:
                log.warning("The prediction server died: %s", error)
                self._drop()
            except BaseException:
                self._drop()  # its answer to this request must not be taken for the next one's
                raise
        raise Retryable("The model's process died twice over this prediction; send fewer rows.")

    def _ensure(self) -> socket.socket:
        if self._talk is not None and self._process is not None:
            if self._owner == os.getpid() and self._process.poll() is None:
                return self._talk
            self._drop()
        self._owner = os.getpid()
        # Whoever ends the process knows where it was unpacking a bundle.
        self._unpacked = Path(tempfile.gettempdir()) / f"bakeoff-{uuid.uuid4().hex}"
        self._talk, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [
                    *(sys.executable, "-P", "-m", "automl.engine.serving"),
                    *(str(theirs.fileno()), str(self._unpacked)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment(self._threads),
                start_new_session=True,
            )
        return self._talk

    def _drop(self, wait: float = 0.0) -> None:
        process, talk = self._process, self._talk
        self._process = self._talk = None
        if talk is not None:
            talk.close()
        if process is None or self._owner != os.getpid():
            return  # a fork of the owner: the process is not ours
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(self._unpacked, ignore_errors=True)


def _exchange(talk: socket.socket, line: bytes, stop: float) -> bytes:
    """Send a line and wait for one."""
    talk.settimeout(max(stop - time.monotonic(), 0.001))
    talk.sendall(line)
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        talk.settimeout(max(stop - time.monotonic(), 0.001))
        part = talk.recv(1 << 20)
        if not part:
            raise _ServerGone("it closed its end")
        parts.append(part)
    return b"".join(parts)


class ModelShelf:
    """The models used last, loaded when first asked for.

    Parameters
    ----------
    load : callable
        Path of a bundle to its model.
    kept : int
    """

    def __init__(self, load: Callable[[Path], Predictor], kept: int = MODELS_KEPT) -> None:
        self._load = load
        self._kept = kept
        self._models: OrderedDict[tuple[str, int, int], Predictor] = OrderedDict()

    def get(self, bundle: Path) -> Predictor:
        """Give the model of a bundle; one that was written anew is loaded anew."""
        status = bundle.stat()
        key = (str(bundle), status.st_mtime_ns, status.st_size)
        if key not in self._models:
            self._models[key] = self._load(bundle)
        self._models.move_to_end(key)
        while len(self._models) > self._kept:
            self._models.popitem(last=False)
        return self._models[key]


class Served:
    """A loaded model.

    Parameters
    ----------
    model : object
        What the `load` of a bundle gives.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def rows(self, rows: Sequence[Row], level: float | None = None) -> Prediction:
        """Predict rows as JSON has them."""
        from automl.engine.inference import InputError

        try:
            found = self._model.predict_rows(rows)
            if level is not None:
                found = {**found, **self._model.uncertainty_of(found, level)}
        except InputError as error:
            raise UserError(str(error)) from error
        return cast(Prediction, found)

    def table(self, source: Path, target: Path, level: float | None = None) -> dict[str, int]:
        """Predict a file into a CSV file, and tell how many rows it has."""
        return {"rows": predict_table(self._model, source, [target], level=level)}


def load_predictor(bundle: Path, folder: Path) -> Predictor:
    """Load a bundle, unpacked for that moment into a new folder; every bundle holds a copy of the code."""
    folder.mkdir(mode=0o700)
    try:
        return Served(load_bundle(bundle, folder))
    finally:
        shutil.rmtree(folder)


def answer(shelf: ModelShelf, line: bytes) -> dict[str, Any]:
    """Answer one request; an error is an answer too."""
    try:
        request = json.loads(line)
        model = shelf.get(Path(request["bundle"]))
        if "rows" in request:
            return dict(model.rows(request["rows"], request.get("level")))
        files = Path(request["source"]), Path(request["target"])
        return dict(model.table(*files, request.get("level")))
    except FileNotFoundError:
        return {"error": "the bundle's file is gone", "user_error": False, "detail": traceback.format_exc()}
    except Exception as error:  # noqa: BLE001, RUF100 - one bad request must not end the process
        user_error = isinstance(error, UserError)
        text = str(error) if user_error else f"{type(error).__name__}: {error}"
        return {"error": text, "user_error": user_error, "detail": traceback.format_exc()}


def serve(talk: socket.socket, unpacked: Path) -> None:
    """Answer requests until the owner is gone."""
    owner = os.getppid()
    shelf = ModelShelf(partial(load_predictor, folder=unpacked))
    # What pipelines need besides is imported with the first that has no graph.
    for module in ("automl.engine.inference", "onnxruntime"):
        importlib.import_module(module)  # now, while the first request may still be on its way
    poll = select.poll()
    poll.register(talk, select.POLLIN)
    with talk.makefile("rwb") as lines:
        while os.getppid() == owner:
            if not poll.poll(OWNER_CHECK_MS):
                continue
            line = lines.readline(LONGEST_LINE)
            if not line:
                return
            lines.write(json.dumps(answer(shelf, line)).encode() + b"\n")
            lines.flush()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
