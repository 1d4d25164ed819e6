"""A supervisor of stub programs, run by test_supervisor.py as a process of its own."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from automl.core.supervisor import Program, Stopped, Supervisor
from automl.engine.errors import UserError


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
                supervisor.wait()
            except Stopped:
                print("stopping", flush=True)
    except UserError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
