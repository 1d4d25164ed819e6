"""Read by gunicorn at its start: with LOG_JSON its own lines are JSON as well, as those of all programs."""

from __future__ import annotations

import logging.config
import os
from typing import Any

from gunicorn.glogging import Logger


class OurLogger(Logger):
    """Hands its lines to the handlers that Django's settings name."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for each in (self.error_log, self.access_log):
            each.handlers.clear()
            each.propagate = True


# Without it nothing changes, and the start need not wait for Django's settings.
if os.environ.get("LOG_JSON"):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "automl.settings")
    from django.conf import settings

    if settings.LOG_JSON:
        logging.config.dictConfig(settings.LOGGING)
        logger_class = OurLogger
