"""How many messages lie on the broker's queues."""

from __future__ import annotations

import contextlib

import redis

from automl.core.health import QUEUES, broker_client


def queue_lengths() -> dict[str, int | None]:
    """By queue, the messages that nobody has taken yet; None where the broker does not tell."""
    try:
        with contextlib.closing(broker_client()) as client:
            pipeline = client.pipeline(transaction=False)
            for queue in QUEUES:
                pipeline.llen(queue)
            return dict(zip(QUEUES, map(int, pipeline.execute()), strict=True))
    except (redis.RedisError, OSError):
        return dict.fromkeys(QUEUES)
