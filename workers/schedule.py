"""What happens without anybody asking. A message that nobody took in time is worth nothing."""

from __future__ import annotations

SWEEP_SECONDS = 2.0
# Whoever sends and whoever takes a message may have clocks that differ by a few seconds.
SWEEP_EXPIRES = 10.0
CLEAN_UP_SECONDS = 30.0

SCHEDULE = {
    "sweep": {
        "task": "workers.tasks.sweep",
        "schedule": SWEEP_SECONDS,
        "options": {"queue": "short", "expires": SWEEP_EXPIRES},
    },
    "clean_up": {
        "task": "workers.tasks.clean_up",
        "schedule": CLEAN_UP_SECONDS,
        "options": {"queue": "short", "expires": CLEAN_UP_SECONDS},
    },
}
