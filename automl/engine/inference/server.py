"""A small web server for one model: `python serve.py`. It needs nothing but the model's own requirements."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .command import exit_code
from .errors import InputError
from .files import RUNTIMES, load
from .model import Model
from .tables import Source, predictions_frame

LARGEST_MB = 64
SECONDS = 60.0
EPILOG = """\
  GET  /health   {"status": "ok"} once the model is loaded
  GET  /schema   the columns that the model needs
  POST /predict  {"rows": [{"age": 39, ...}]} as application/json: predictions, and probabilities of classes;
                 or a table as text/csv: the same columns as predict.py writes, as CSV

It has no passwords and no encryption: let it listen where only those reach it who may."""


class Refused(Exception):
    """A request that can't be answered, with the status and what to say."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class ModelServer(ThreadingHTTPServer):
    """Answers each request in a thread of its own."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], model: Model, largest: int = LARGEST_MB << 20) -> None:
        self.model, self.largest = model, largest
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection; it may bring several requests."""

    protocol_version = "HTTP/1.1"
    server_version = "bakeoff-model"
    sys_version = ""
    timeout = SECONDS
    # Else the headers go out alone, and the body waits for their acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ModelServer

    def do_GET(self) -> None:
        """Answer /health and /schema."""
        if self._place() == "/health":
            self._send_json(HTTPStatus.OK, {"status": "ok"})
        elif self._place() == "/schema":
            self._send_json(HTTPStatus.OK, described(self.server.model))
        else:
            self._send_error_of(self._place())

    def do_POST(self) -> None:
        """Answer /predict."""
        try:
            body = self._body()
            if self._place() != "/predict":
                self._send_error_of(self._place())
            elif self._kind() == "text/csv":
                self._send(HTTPStatus.OK, "text/csv; charset=utf-8", self._predict_csv(body))
            elif self._kind() == "application/json":
                self._send_json(HTTPStatus.OK, self.server.model.predict_rows(rows_of(body)))
            else:
                raise Refused(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    f"Content-Type is {self._kind()!r}; send application/json or text/csv.",
                )
        except Refused as refused:
            self._send_json(refused.status, {"error": str(refused)})
        except InputError as error:
            self._send_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # noqa: BLE001, RUF100 - one bad request must not end the server
            self.log_error("%s: %s", type(error).__name__, error)
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "The model could not predict this."})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave requests that were answered out of the log: it would be longer than what is served."""

    def _place(self) -> str:
        return self.path.partition("?")[0]

    def _kind(self) -> str:
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def _body(self) -> bytes:
        try:
            length = int(self.headers.get("Content-Length") or "")
        except ValueError:
            self.close_connection = True
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Send the body's length as Content-Length.") from None
        if not 0 <= length <= self.server.largest:
            self.close_connection = True
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has {length:,} bytes; at most {self.server.largest:,} are taken. Send fewer rows "
                "at once, or use predict.py.",
            )
        return self.rfile.read(length)

    def _predict_csv(self, body: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(prefix="bakeoff-", suffix=".csv") as file:
            file.write(body)
            file.flush()
            with Source(Path(file.name), self.server.model.encoder.schema) as source:
                out = io.StringIO()
                for place, chunk in enumerate(source.chunks()):
                    predictions_frame(self.server.model, chunk).to_csv(out, index=False, header=not place)
        return out.getvalue().encode()

    def _send_error_of(self, path: str) -> None:
        known = path in ("/predict", "/health", "/schema")
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        self._send_json(status, {"error": "There are GET /health, GET /schema and POST /predict."})

    def _send_json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """The rows of a JSON body: a list of objects, alone or as `rows`.

    Raises
    ------
    Refused
        If it is something else.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}.") from None
    rows = found.get("rows") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(
            HTTPStatus.BAD_REQUEST, 'Send {"rows": [{"column": value, ...}, ...]}: an object for each row.'
        )
    if any(isinstance(value, list | dict) for row in rows for value in row.values()):
        raise Refused(HTTPStatus.BAD_REQUEST, "A value is a list or an object; cells are plain values.")
    return rows


def described(model: Model) -> dict[str, Any]:
    """What a client must know of a model."""
    schema = model.encoder.schema
    found = {"task_type": schema["task_type"], "target": schema["target"], "columns": schema["columns"]}
    return found | {name: schema[name] for name in ("classes", "label_factors") if schema.get(name)}


def main(arguments: Sequence[str] | None = None, folder: Path | None = None) -> int:
    """Load the model and serve it until SIGTERM or Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(
        prog="serve.py",
        description="Serves the model in this folder over HTTP.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at (127.0.0.1: this machine)"
    )
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (8080)")
    parser.add_argument("--max-mb", type=int, default=LARGEST_MB, help=f"the largest body ({LARGEST_MB})")
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what predicts; auto is best")
    given = parser.parse_args(arguments)
    try:
        model = load(folder, runtime=given.runtime)
        server = ModelServer((given.host, given.port), model, given.max_mb << 20)
    except (InputError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    # shutdown() waits for the loop, which runs in this very thread.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    sys.stderr.write(f"Serving the model at http://{given.host}:{server.server_address[1]}\n")
    sys.stderr.flush()
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0
