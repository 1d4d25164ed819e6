"""How many requests one user may make."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView


class WindowRate(UserRateThrottle):
    """Counts by whole minutes: a count costs the same however high it is, where a list of times does not."""

    # What the base class reads from the rate.
    num_requests: int | None
    duration: int | None
    _left = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = self.get_cache_key(request, view)
        if key is None or not self.duration or self.num_requests is None:
            return True
        window, gone = divmod(self.timer(), self.duration)
        self._left = self.duration - gone
        name = f"{key}-{int(window)}"
        self.cache.add(name, 0, self.duration)
        try:
            return int(self.cache.incr(name)) <= self.num_requests
        except ValueError:  # dropped meanwhile, for want of room
            return True

    def wait(self) -> float:
        """Seconds until the next minute begins."""
        return self._left
