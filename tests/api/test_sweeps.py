from __future__ import annotations

import pytest

from tests.factories import ExperimentFactory

GRID = {"learning_rate": [0.05, 0.1], "num_leaves": [15, 31]}


def post(client, experiment, key=None, **body):
    headers = {"HTTP_IDEMPOTENCY_KEY": key} if key else {}
    return client.post(f"experiments/{experiment.id}/sweeps/", {"family": "lightgbm", **body}, **headers)


def test_a_sweep_joins_a_running_search(api, world):
    response = post(api, world.experiment, grid=GRID, base={"subsample": 0.8})
    body = response.json()
    assert response.status_code == 201
    assert (body["combinations"], body["skipped"], len(body["trials"])) == (4, 0, 4)
    assert (body["grid"], body["base"], body["experiment"]) == (
        GRID,
        {"subsample": 0.8},
        str(world.experiment.id),
    )
    trial = api.get(f"trials/{body['trials'][0]}/").json()
    assert (trial["origin"], trial["status"], trial["sweep"]) == ("sweep", "waiting", body["id"])
    assert trial["prediction"] is None


def test_sweeps_are_listed_with_their_trials_newest_first(api, world, django_assert_max_num_queries):
    bodies = [post(api, world.experiment, grid={"num_leaves": [n, n + 1]}).json() for n in (10, 20, 30)]
    with django_assert_max_num_queries(8):
        listed = api.get(f"experiments/{world.experiment.id}/sweeps/").json()["results"]
    assert listed == bodies[::-1]


def test_a_sweep_that_is_sent_twice_under_one_key_adds_once(api, world):
    first, second = (post(api, world.experiment, key="k1", grid=GRID) for _ in range(2))
    assert first.json() == second.json()
    assert world.experiment.trials.filter(origin="sweep").count() == 4


def test_too_many_combinations_are_named_with_their_count(api, world, settings):
    settings.MAX_SWEEP = 3
    response = post(api, world.experiment, grid=GRID)
    assert response.status_code == 422
    assert "4 combinations" in response.json()["errors"][0]["message"]
    assert world.experiment.trials.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "grid"),
        ({"grid": []}, "grid"),
        ({"grid": {"num_leaves": 3}}, "grid"),
        ({"grid": {"num_leaves": ["many"]}}, "grid"),
        ({"grid": {"speed": [1]}}, "grid"),
        ({"grid": GRID, "base": {"subsample": 9}}, "base"),
        ({"grid": GRID, "steps": 3}, "steps"),
        ({"family": "nothing", "grid": GRID}, "family"),
    ],
)
def test_a_sweep_that_can_not_be_names_the_field(api, world, body, field):
    response = post(api, world.experiment, **body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_sweeps_of_somebody_else_are_not_there(charlies, anonymous, world):
    for method, status in ((charlies, 404), (anonymous, 401)):
        assert post(method, world.experiment, grid=GRID).status_code == status
        assert method.get(f"experiments/{world.experiment.id}/sweeps/").status_code == status


def test_a_finished_experiment_goes_on_for_a_sweep(api, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    assert post(api, experiment, grid=GRID).status_code == 201
    experiment.refresh_from_db()
    assert (experiment.state, experiment.by_hand_only) == ("running", True)
