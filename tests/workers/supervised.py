"""A supervisor of stub programs, run by test_supervisor.py as a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from pathlib import Path

from automl.core.supervisor import Program, Stopped, Supervisor
from automl.engine.errors import UserError


def swallow() -> bool:
    """What a destructor does to an exception that a signal raises within it."""
    with contextlib.suppress(BaseException):
        time.sleep(0.3)
    return False


def main() -> int:
    folder, stubs = Path(sys.argv[1]), json.loads(sys.argv[2])
    try:
        with Supervisor(folder=folder, say=lambda text: print(text, flush=True)) as supervisor:
            try:
                for stub in stubs:
                    stop = ((signal.SIGTERM, 0.5),)
                    command = [sys.executable, "-c", stub["code"]]
                    supervisor.start(Program(stub["name"], command, stop=stop, last=stub.get("last", False)))
                print(f"mark {supervisor.mark}", flush=True)
                supervisor.wait(swallow if "--swallow" in sys.argv else None)
            except Stopped:
                print("stopping", flush=True)
    except UserError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
