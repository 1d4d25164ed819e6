"""What a worker does besides its tasks, as steps of Celery's worker and of its consumer."""

from __future__ import annotations

import os
import threading
from typing import Any

import structlog
from celery import bootsteps
from celery.platforms import EX_FAILURE
from celery.worker import state

from automl.core import leaving
from workers import recovery
from workers.heartbeat import WorkerHeartbeat

log = structlog.get_logger(__name__)


class Heartbeat(bootsteps.StartStopStep):
    """Writes the worker's row from the consumer's event loop: it stops when the loop does.

    The loop sees that it is to end only when it wakes up: so it is woken up twice a second.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timers: list[Any] = []

    def start(self, parent: Any) -> None:
        """Begin to beat; called again after every reconnection."""
        queues = sorted(queue.name for queue in parent.task_consumer.queues)
        beat = WorkerHeartbeat(parent.hostname, queue=queues[0], seats=parent.pool.num_processes)
        beat()
        recovery.from_dead_processes()
        self._timers = [
            parent.timer.call_repeatedly(2.0, beat),
            parent.timer.call_repeatedly(0.5, recovery.from_dead_processes),
        ]

    def stop(self, parent: Any) -> None:
        """Stop to beat: without a connection nothing is consumed."""
        while self._timers:
            self._timers.pop().cancel()


class LostAcknowledgements(bootsteps.StartStopStep):
    """Begins anew with the broker once acknowledgements were lost.

    One that fails, as the broker is gone just then, is logged and forgotten, and its message counts as
    unacknowledged for ever. When that goes for as many messages as may be at work, the worker asks for no
    more, and does not notice that its connection is lost either.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None
        self._suspected = False

    def start(self, parent: Any) -> None:
        """Begin to look; called again after every reconnection."""
        self._suspected = False
        self._timer = parent.timer.call_repeatedly(2.0, self.look, (parent,))

    def stop(self, _parent: Any) -> None:
        """Stop to look."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self, parent: Any) -> None:
        """Compare what the channel takes for unacknowledged with what is at work.

        Raises
        ------
        ConnectionError
            Which Celery's loop takes for the loss of the connection that it is.
        """
        qos = parent.task_consumer.channel.qos
        unacknowledged = qos.prefetch_count - qos.can_consume_max_estimate() if qos.prefetch_count else 0
        is_lost = unacknowledged > len(state.reserved_requests)
        if is_lost and self._suspected:
            log.warning("acknowledgements_lost", unacknowledged=unacknowledged)
            raise ConnectionError("Acknowledgements were lost with the connection to the broker.")
        self._suspected = is_lost


class BoundedEnd(bootsteps.StartStopStep):
    """A worker that stops gives back what it holds, and is gone soon, whatever Celery still waits for.

    An error of the broker that Celery does not know, such as that of a full disk, stops it without a signal:
    it would wait until the last job has ended, and for ever for a job that no pool process has got.
    """

    requires = ("celery.worker.components:Pool",)
    SECONDS = 10.0

    def stop(self, _parent: Any) -> None:
        """Comes before the pool is waited for."""
        leaving.ask()
        late = threading.Timer(self.SECONDS, self._leave)
        late.daemon = True
        late.start()

    def _leave(self) -> None:
        log.warning("worker_did_not_end", seconds=self.SECONDS)
        os._exit(EX_FAILURE)
