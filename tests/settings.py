"""Settings for tests: everything in a temporary folder, work done only when a test asks for it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Two processes of tests, each with as many OpenMP threads as cores, would wait for each other's spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_home = tempfile.mkdtemp(prefix="bakeoff-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AUTOML_HOME"] = _home
os.environ.setdefault("SECRET_KEY", "not-a-secret-in-tests")

from automl.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DISPATCHER = "tests.dispatchers.Recorder"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
LOG_LEVEL = "WARNING"
LOGGING["root"]["level"] = "WARNING"  # type: ignore[index]  # noqa: F405
ALLOWED_HOSTS = ["*"]
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"user": "100000/min"}}  # noqa: F405
ACCOUNT_RATE_LIMITS = False
DATABASE_WATCH = False
# In a file, as in life: a table of a database in memory can't be emptied while a request still reads it.
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_home) / "tests.sqlite3")}  # noqa: F405
