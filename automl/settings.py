"""All settings, read from the environment. `.env.example` lists what may be set.

Without any of it the service runs on embedded defaults: SQLite, a broker that
`manage.py serve` starts, and files, all of them under AUTOML_HOME.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django_stubs_ext
import environ
import structlog
from csp.constants import NONE, SELF

from automl.core.broker import embedded_url

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

HOME = Path(env.str("AUTOML_HOME", default=str(BASE_DIR / "var"))).expanduser().resolve()
HOME.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """The key from the environment, or one made once and kept beside the database."""
    key: str = env.str("SECRET_KEY", default="")
    if key:
        return key
    path = HOME / "secret_key"
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(secrets.token_urlsafe(50), encoding="utf-8")
        draft.chmod(0o600)
        try:
            os.link(draft, path)  # fails when another process was first: then its key is the key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()


# --- Django ---------------------------------------------------------------------------------

SECRET_KEY = _secret_key()
DEBUG = env.bool("DEBUG", default=False)
PORT = env.int("AUTOML_PORT", default=8000)
HOST = env.str("AUTOML_HOST", default="127.0.0.1")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", ".localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
BEHIND_TLS = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.admin",
    "allauth",
    "allauth.account",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_structlog",
    "automl.core",
    "automl.accounts",
    "automl.datasets",
    "automl.experiments",
    "automl.api",
    "automl.pages",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "automl.api.outages.Outages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]

ROOT_URLCONF = "automl.urls"
WSGI_APPLICATION = "automl.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "automl.accounts.context.signup_open",
            ],
        },
    }
]

# A path may hold characters that a URL may not.
DATABASES = {
    "default": env.db_url_config(
        env.str("DATABASE_URL", "") or "sqlite:///" + quote(str(HOME / "db.sqlite3"))
    ),
}
# To open one takes a tenth of a short request, also where it is but a file.
DATABASES["default"]["CONN_MAX_AGE"] = 60
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers and one writer work at once; IMMEDIATE takes the write lock at BEGIN, where the
    # timeout holds. Without it an upgrade from read to write fails at once with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A server that hangs takes the connection and then says nothing.
    for _name, _value in {
        "connect_timeout": 3,
        # And a network that swallows packets would hold a connection for a quarter of an hour.
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }.items():
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault(_name, _value)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(HOME / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Sign-in and security -------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "pages:home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_ADAPTER = "automl.accounts.adapter.AccountAdapter"
SIGNUP_OPEN = env.bool("AUTOML_SIGNUP", default=True)
# Sign-in is limited by address: behind a proxy that is the one the proxy tells.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("AUTOML_TRUSTED_PROXIES", default=0)
SIGN_IN_LINK_SECONDS = 24 * 3600
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- The API --------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "automl.api.permissions.BearerToken",
        "automl.api.permissions.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "automl.api.pagination.CursorPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env.str("AUTOML_API_RATE", default="6000/min")},
    "EXCEPTION_HANDLER": "automl.api.errors.problem_response",
    "DATETIME_FORMAT": "iso-8601",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": None,
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bakeoff",
    "DESCRIPTION": "Upload a table, start an experiment, follow its leaderboard, download the best model.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Files and limits -----------------------------------------------------------------------

FILES_ROOT = Path(env.str("AUTOML_FILES", default=str(HOME / "files")))
MAX_UPLOAD_BYTES = env.int("AUTOML_MAX_UPLOAD_MB", default=500) * 2**20
# Uploads are streamed to disk by our own handler; what is left in a form is small.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
FILE_UPLOAD_HANDLERS = ["automl.core.uploads.LimitedTemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = str(HOME / "uploads")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)
LEAST_FREE_BYTES = env.int("AUTOML_LEAST_FREE_MB", default=200) * 2**20
MAX_DATASETS = env.int("AUTOML_MAX_DATASETS", default=500)
MAX_DATASET_BYTES = env.int("AUTOML_MAX_STORED_GB", default=50) * 2**30
MAX_ACTIVE_EXPERIMENTS = env.int("AUTOML_MAX_ACTIVE_EXPERIMENTS", default=50)
MAX_TIME_BUDGET = env.int("AUTOML_MAX_TIME_BUDGET", default=24 * 3600)
MAX_TRIALS = env.int("AUTOML_MAX_TRIALS", default=10_000)
PREDICT_AT_ONCE_BYTES = 5 * 2**20  # a CSV of that size is answered at once, a larger one by a worker
MAX_ACTIVE_PREDICTIONS = env.int("AUTOML_MAX_ACTIVE_PREDICTIONS", default=50)  # files that wait or run
PREDICTION_DAYS = env.float("AUTOML_PREDICTION_DAYS", default=7.0)  # how long predicted files are kept
MAX_SWEEP = env.int("AUTOML_MAX_SWEEP", default=500)

# --- Work -----------------------------------------------------------------------------------

DISPATCHER = env.str("AUTOML_DISPATCHER", default="workers.dispatch.CeleryDispatcher")
BROKER_URL = env.str("REDIS_URL", default="") or embedded_url(HOME)
BROKER_IS_EMBEDDED = embedded_url(HOME) == BROKER_URL
SEATS = env.int("AUTOML_SEATS", default=0)  # 0: one a core of the quota
THREADS_PER_SEAT = env.int("AUTOML_THREADS_PER_SEAT", default=0)  # 0: the quota shared out
MEMORY_PER_SEAT = env.int("AUTOML_MEMORY_PER_SEAT_MB", default=0) * 2**20  # 0: 80 % of the machine shared out
ENGINE_JOBS = "automl.engine.jobs"
LEASE_SECONDS = env.float("AUTOML_LEASE_SECONDS", default=15.0)
HEARTBEAT_SECONDS = 1.0
MAX_ATTEMPTS = 3
# A database that is away for less than this costs no fit.
OUTAGE_SECONDS = 120.0
# One figure from which every limit of the queue is derived: soft < hard < the broker's visibility timeout.
LONGEST_JOB_SECONDS = env.int("AUTOML_LONGEST_JOB_SECONDS", default=6 * 3600)

# --- Watching -------------------------------------------------------------------------------

# Only a server can hang for ever: see `automl.core.watch`.
DATABASE_WATCH = DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3"
METRICS_TOKEN = env.str("AUTOML_METRICS_TOKEN", default="")  # "": only the tokens of staff may read /metrics

# --- Logs -----------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_JSON = env.bool("LOG_JSON", default=False)
if LOG_JSON:
    # Python's own go to the standard error as they are.
    logging.captureWarnings(True)
_SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
structlog.configure(
    processors=[
        *_SHARED_PROCESSORS,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _SHARED_PROCESSORS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if LOG_JSON else []),
                structlog.processors.JSONRenderer()
                if LOG_JSON
                # Rich tracebacks show local variables, and those are users' data.
                else structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "default"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django_structlog": {"level": "WARNING"},
        # They tell of each message that it was sent, taken and done: three lines a sweep.
        **{
            name: {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "WARNING"}
            for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace")
        },
        "automl": {"level": LOG_LEVEL},
        "workers": {"level": LOG_LEVEL},
    },
}
