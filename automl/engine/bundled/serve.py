"""Serves the model in this folder over HTTP.

python serve.py --port 8080
curl -d '{"rows": [{...}]}' -H 'Content-Type: application/json' http://127.0.0.1:8080/predict
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    # predict.py checks the code of this folder, and imports it.
    spec = importlib.util.spec_from_file_location("predict", HERE / "predict.py")
    assert spec is not None and spec.loader is not None
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(getattr(error, "code", 1)) from None
    from bakeoff_model.server import main

    raise SystemExit(main(folder=HERE))
