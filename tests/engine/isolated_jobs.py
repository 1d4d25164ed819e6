"""Jobs that behave, and jobs that do not: what `tests/engine/test_isolation.py` has run."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from automl.engine.errors import Cancelled, Pruned, UserError


def double(args, report):
    return {"number": args["number"] * 2}


def tell_folds(args, report):
    answers = [report({"event": "fold", "fold": fold}) for fold in range(args["folds"])]
    return {"answers": answers}


def stop_when_told(args, report):
    for fold in range(100):
        if report({"event": "fold", "fold": fold}) == "stop":
            raise Pruned(f"after fold {fold}")
    return {}


def raise_user_error(args, report):
    raise UserError("Column 'age' is not in the table; choose another one.")


def raise_value_error(args, report):
    raise ValueError("x" * 2000)


def raise_memory_error(args, report):
    raise MemoryError


def raise_cancelled(args, report):
    raise Cancelled


def leave(args, report):
    os._exit(3)


def give_no_json(args, report):
    return {"value": object()}


def sleep(args, report):
    time.sleep(args.get("seconds", 60))
    return {}


def stay_in_c(args, report):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return {"match": bool(re.match(r"(a+)+$", "a" * 60 + "b"))}


def eat_memory(args, report):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * (8 << 20)))
        time.sleep(0.005)


def let_a_child_eat_memory(args, report):
    code = "held = bytearray(b'1' * (400 << 20)); import time; time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return {}


def hold(args, report):
    block = bytearray(b"1" * args["bytes"])
    time.sleep(0.3)
    return {"held": len(block)}


def print_without_end(args, report):
    while True:
        print("{'result': 'noise'}" * 100)


def print_and_return(args, report):
    print('{"result": {"forged": true}}')
    os.write(1, b'{"result": {"forged": true}}\n')
    os.write(2, b"\xff\xfe not text\n")
    return {"honest": True}


def crash(args, report):
    print("about to read what is not there")
    ctypes.string_at(0)


def kill_itself(args, report):
    os.kill(os.getpid(), signal.SIGKILL)


def start_a_child(args, report):
    child = subprocess.Popen(["/bin/sleep", "600"])
    report({"child": child.pid, "own": os.getpid(), "server": os.getppid()})
    if args["stay"]:
        time.sleep(600)
    return {"child": child.pid}


def look_around(args, report):
    return {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS"),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "group": os.getpgid(0) == os.getpid(),
        "stdin": sys.stdin.read(),
    }


def blas_threads(args, report):
    from threadpoolctl import threadpool_info

    return {"threads": sorted({pool["num_threads"] for pool in threadpool_info()})}


def fit_with_openmp(args, report):
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    X = np.random.default_rng(0).normal(size=(500, 4))
    model = HistGradientBoostingClassifier(max_iter=5).fit(X, X[:, 0] > 0)
    return {"score": model.score(X, X[:, 0] > 0), "heavy": "lightgbm" in sys.modules}


def echo_size(args, report):
    return {"text": args["text"] * args["times"]}
