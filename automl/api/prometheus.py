"""`/metrics`: what Prometheus scrapes. Read from rows at each scrape, so every web process tells the same."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from automl.api.errors import ProblemResponse
from automl.api.permissions import BearerToken
from automl.core import health, storage, tallies
from automl.core.queues import queue_lengths
from automl.engine.trial import TrialState
from automl.experiments import operations


class ServiceCollector(Collector):
    """The whole service in a fixed number of queries, however much there is."""

    def collect(self) -> Iterator[Metric]:
        yield from self._trials()
        yield from self._queues()
        yield from self._experiments()
        yield from self._predictions()
        yield from self._heartbeats()
        free = GaugeMetricFamily("bakeoff_disk_free_bytes", "Room where files and database are kept.")
        free.add_metric([], storage.free_bytes())
        yield free

    def _trials(self) -> Iterator[Metric]:
        # What is deleted or extended lowers sums over rows: as counters they would seem to begin anew.
        count = GaugeMetricFamily("bakeoff_trials", "Trials there are.", labels=["state"])
        seconds = GaugeMetricFamily("bakeoff_trial_seconds", "Their seconds on seats.", labels=["state"])
        losses = CounterMetricFamily("bakeoff_trial_losses", "Attempts that ended with their process.")
        expired = GaugeMetricFamily("bakeoff_leases_expired", "Running trials whose lease has run out.")
        totals = operations.trial_totals()
        for state in TrialState:
            found = totals.get(state.value, {})
            count.add_metric([state.value], found.get("count", 0))
            seconds.add_metric([state.value], found.get("seconds_sum") or 0)
        losses.add_metric([], tallies.total(tallies.LOSSES))
        expired.add_metric([], totals.get("running", {}).get("expired", 0))
        yield from (count, seconds, losses, expired)

    def _queues(self) -> Iterator[Metric]:
        labels = ["queue"]
        waiting = GaugeMetricFamily("bakeoff_queue_waiting", "Rows that wait to be taken.", labels=labels)
        oldest = GaugeMetricFamily("bakeoff_queue_oldest_seconds", "How long the oldest has.", labels=labels)
        messages = GaugeMetricFamily("bakeoff_queue_messages", "Messages on the broker.", labels=labels)
        for queue, (count, age) in operations.oldest_waiting().items():
            waiting.add_metric([queue], count)
            oldest.add_metric([queue], age)
        for queue, length in queue_lengths().items():
            if length is not None:
                messages.add_metric([queue], length)
        yield from (waiting, oldest, messages)

    def _experiments(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("bakeoff_experiments", "Experiments.", labels=["state"])
        for state, count in operations.experiment_totals().items():
            states.add_metric([state], count)
        yield states
        found = operations.budget_overruns()
        finished = GaugeMetricFamily("bakeoff_finished_lately", "Searches finished in the last hour.")
        finished.add_metric([], found["count"])
        over = GaugeMetricFamily(
            "bakeoff_budget_overruns", "Those that went over their time by more seconds.", labels=["seconds"]
        )
        for most in operations.OVERRUNS:
            over.add_metric([str(most)], found[f"over_{most}"])
        furthest = GaugeMetricFamily("bakeoff_budget_overrun_seconds_max", "The furthest of them.")
        furthest.add_metric([], max(0.0, found["most"]))
        yield from (finished, over, furthest)

    def _predictions(self) -> Iterator[Metric]:
        count = GaugeMetricFamily("bakeoff_predictions", "Files to predict.", labels=["state"])
        room = GaugeMetricFamily(
            "bakeoff_prediction_bytes", "What they and their results take.", labels=["state"]
        )
        for row in operations.prediction_totals():
            count.add_metric([row.state], row.count)
            room.add_metric([row.state], row.room)
        yield from (count, room)

    def _heartbeats(self) -> Iterator[Metric]:
        seats = GaugeMetricFamily("bakeoff_seats", "Seats.", labels=["queue", "worker"])
        busy = GaugeMetricFamily("bakeoff_seats_busy", "Seats at work.", labels=["queue", "worker"])
        seen = GaugeMetricFamily(
            "bakeoff_worker_last_seen_seconds", "Since its last heartbeat.", labels=["queue", "worker"]
        )
        for worker in operations.list_workers():
            labels = [worker.queue, worker.name]
            if worker.age <= health.ALIVE_SECONDS:
                seats.add_metric(labels, worker.seats)
                busy.add_metric(labels, worker.busy)
            seen.add_metric(labels, worker.age)
        pulses = GaugeMetricFamily(
            "bakeoff_pulse_age_seconds",
            "Since the last sweep, and since each queue last moved anything.",
            labels=["pulse"],
        )
        for name, age in operations.pulse_ages().items():
            pulses.add_metric([name], age)
        yield from (seats, busy, seen, pulses)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything, for whoever has the token of the settings or is staff; for others it is not there."""
    if (refusal := _refusal(request)) is not None:
        return refusal
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector())
    body = generate_latest(registry)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _refusal(request: HttpRequest) -> HttpResponse | None:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    if settings.METRICS_TOKEN and hmac.compare_digest(given.encode(), wanted.encode()):
        return None
    try:
        found = BearerToken().authenticate(Request(request))
    except AuthenticationFailed:
        found = None
    user = found[0] if found else request.user if not given else AnonymousUser()
    if not user.is_authenticated:
        return ProblemResponse(
            401,
            "A token is needed: AUTOML_METRICS_TOKEN, or that of a member of staff.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not user.is_staff:
        raise Http404
    return None
