"""Celery's beat, for a clock that may be set back."""

from __future__ import annotations

from typing import Any

from celery import beat

from workers.schedule import SWEEP_SECONDS


class Scheduler(beat.Scheduler):
    """Keeps its times in memory, and waits for none of before the clock was set back."""

    # Never asleep for longer: what is next may have moved away.
    max_interval = int(SWEEP_SECONDS)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, by the clock as it is now."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at is not None and entry.last_run_at > now:
                entry.last_run_at = now
                self._heap = None
        return super().tick(*args, **kwargs)
