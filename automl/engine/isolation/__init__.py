"""Work in processes of its own: with limits in time and memory, stopped at once when asked.

`Seat` is the door. `limits` says what the machine has to give.
"""

from automl.engine.isolation.limits import SeatPlan, cpu_quota, memory_limit, plan_seats
from automl.engine.isolation.outcome import Limits, Outcome
from automl.engine.isolation.seat import Seat

__all__ = ["Limits", "Outcome", "Seat", "SeatPlan", "cpu_quota", "memory_limit", "plan_seats"]
