"""The best score of each experiment of a list, by one query for the whole list."""

from __future__ import annotations

from django.db.models import FloatField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from automl.engine.trial import TrialState
from automl.experiments.models import Ensemble, Experiment, Trial


def with_best(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    """Adds `best`: the value of the best trial or ensemble, in the metric's own unit."""
    trials = Trial.objects.filter(experiment=OuterRef("pk"), state=TrialState.COMPLETE.value)
    # An ensemble is kept only where it beats the best trial.
    ensembles = Ensemble.objects.filter(experiment=OuterRef("pk"))
    return experiments.annotate(
        best=Coalesce(
            Subquery(ensembles.order_by("-score").values("value")[:1]),
            Subquery(trials.order_by("-score").values("value")[:1]),
            output_field=FloatField(),
        )
    )
