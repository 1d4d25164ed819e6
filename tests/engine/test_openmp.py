"""Where the system has no OpenMP library, LightGBM gets the one of scikit-learn's wheel."""

import os
import subprocess
import sys

from automl.engine.isolation import openmp, warm


def test_a_process_that_looks_for_the_library_finds_the_link(tmp_path):
    folder = openmp.link_openmp(tmp_path / "lib")

    code = "import ctypes, os; ctypes.CDLL('libgomp.so.1'); print(open(f'/proc/{os.getpid()}/maps').read())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "scikit_learn.libs/libgomp" in found.stdout


def test_fits_search_the_folder_only_where_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(warm, "openmp_folder", lambda: None)
    assert "LD_LIBRARY_PATH" not in warm.environment(1)

    monkeypatch.setattr(warm, "openmp_folder", lambda: tmp_path)
    assert warm.environment(1)["LD_LIBRARY_PATH"] == str(tmp_path)
