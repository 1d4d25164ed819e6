"""Tallies: totals that only grow, whatever is deleted of what they count."""

from __future__ import annotations

from django.db.models import F

from automl.core.models import Tally

LOSSES = "trial_losses"


def add(name: str, count: int = 1) -> None:
    """Count something. In a transaction this comes last: everybody who counts waits for its row."""
    if not Tally.objects.filter(name=name).update(total=F("total") + count):
        Tally.objects.get_or_create(name=name)
        Tally.objects.filter(name=name).update(total=F("total") + count)


def total(name: str) -> int:
    """How often it was counted."""
    return Tally.objects.filter(name=name).values_list("total", flat=True).first() or 0
