"""Every page that a browser test looks at, in one place: by the name of its view and the row that it is of.

A page that is not there yet is left out. Add a line here, and the page is checked for accessibility,
weight, width, the content security policy, and its picture is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

from automl.accounts.models import User
from automl.experiments.models import Experiment, TrainedModel, Trial


@dataclass(frozen=True)
class Shop:
    """One user's rows: a search that goes on, one that has ended, a trial, a model."""

    alice: User
    running: Experiment
    ended: Experiment
    trial: Trial
    model: TrainedModel


@dataclass(frozen=True)
class Spot:
    """A page: what its picture is called, its view, the row in its address, and what is asked of it."""

    name: str
    view: str
    row: Callable[[Shop], object] | None = None
    query: Callable[[Shop], str] = lambda shop: ""
    signed_in: bool = True


def _two_trials(shop: Shop) -> str:
    first, second = shop.ended.trials.filter(state="complete").order_by("number")[:2]
    return f"?trial={first.id}&trial={second.id}"


SPOTS = (
    Spot("sign-in", "account_login", signed_in=False),
    Spot("sign-up", "account_signup", signed_in=False),
    Spot("home", "pages:home"),
    Spot("datasets", "pages:datasets"),
    Spot("upload", "pages:upload"),
    Spot("dataset", "pages:dataset", lambda shop: shop.ended.dataset_id),
    Spot("new-experiment", "pages:new_experiment", lambda shop: shop.ended.dataset_id),
    Spot("experiments", "pages:experiments"),
    Spot("experiment", "pages:experiment", lambda shop: shop.running.id),
    Spot(
        "experiment-opened",
        "pages:experiment",
        lambda shop: shop.ended.id,
        lambda shop: f"?state=all&sort=-fit&open={shop.trial.id}",
    ),
    Spot("dials", "pages:dials", lambda shop: shop.ended.id),
    Spot("dials-panel", "pages:dials", lambda shop: shop.ended.id, lambda shop: f"?trial={shop.trial.id}"),
    Spot("sweeps", "pages:sweeps", lambda shop: shop.ended.id),
    Spot("sweeps-panel", "pages:sweeps", lambda shop: shop.ended.id, lambda shop: "?family=lightgbm"),
    Spot("search", "pages:search", lambda shop: shop.ended.id),
    Spot("insight", "pages:insight", lambda shop: shop.ended.id),
    Spot("compare", "pages:compare", lambda shop: shop.ended.id, _two_trials),
    Spot(
        "compare-experiments",
        "pages:compare_experiments",
        None,
        lambda shop: f"?experiment={shop.running.id}&experiment={shop.ended.id}",
    ),
    Spot("trial", "pages:trial", lambda shop: shop.trial.id),
    Spot("trial-diagnostics", "pages:trial_diagnostics", lambda shop: shop.trial.id),
    Spot("model", "pages:model", lambda shop: shop.model.id),
    Spot("model-diagnostics", "pages:model_diagnostics", lambda shop: shop.model.id),
    Spot("account", "pages:account"),
    Spot("operations", "pages:operations"),
    Spot("delete-experiment", "pages:delete_experiment", lambda shop: shop.ended.id),
    Spot("email", "account_email"),
    Spot("password", "account_change_password"),
)


def addresses(shop: Shop) -> Iterator[tuple[Spot, str]]:
    """Each page that there is, with its address."""
    for spot in SPOTS:
        try:
            path = reverse(spot.view, args=[spot.row(shop)] if spot.row else [])
        except NoReverseMatch:
            continue
        yield spot, path + spot.query(shop)
