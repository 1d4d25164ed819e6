from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from automl.core import health, pulses, storage
from automl.core.queues import queue_lengths
from automl.experiments import operations
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, stamp_of


@require_safe
@page
def overview(request: SignedInRequest) -> HttpResponse:
    """Seats, queues, leases and heartbeats, for whoever runs the service; for others it is not there."""
    return render(request, "pages/operations.html", _shown(request))


@require_safe
@page
def state(request: SignedInRequest) -> HttpResponse:
    """What of it moves: all of it."""
    return fragment(request, "pages/_operations.html", _shown(request), final=False)


def _shown(request: SignedInRequest) -> dict[str, Any]:
    if not request.user.is_staff:
        raise Http404("There is nothing here.")
    workers = operations.list_workers()
    waiting = operations.list_queue()
    ages = operations.pulse_ages()
    evaluate = [
        worker for worker in workers if worker.queue == "evaluate" and worker.age < health.ALIVE_SECONDS
    ]
    return {
        "parts": health.ask(),
        "workers": workers,
        "alive_seconds": health.ALIVE_SECONDS,
        "seats": sum(worker.seats for worker in evaluate),
        "busy": sum(worker.busy for worker in evaluate),
        "waiting": waiting,
        "waiting_count": sum(row.count for row in waiting),
        "lengths": queue_lengths(),
        "leases": operations.list_leases(),
        "files": operations.prediction_totals(),
        "swept": ages.get(pulses.SWEEP),
        "ages": ages,
        "kept_days": settings.PREDICTION_DAYS,
        "free": storage.free_bytes(),
        "failures": operations.list_failures(),
        "live": True,
        "stamp": stamp_of(int(time.time())),
    }
