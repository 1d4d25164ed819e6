"""A supervisor of stub programs, run by test_supervisor.py as a process of its own."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from automl.core.supervisor import Program, Stopped, Supervisor
from automl.engine.errors import UserError


def meanwhile() -> bool:
    """Something of which half would be bad: a lock taken and not given back, for one."""
    print("began", flush=True)
    time.sleep(0.3)
    print("ended", flush=True)
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
                supervisor.wait(meanwhile if "--meanwhile" in sys.argv else None)
            except Stopped:
                print("stopping", flush=True)
    except UserError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
