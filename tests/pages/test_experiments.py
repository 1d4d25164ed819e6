from __future__ import annotations

import pytest
from django.urls import reverse

from automl.engine.learners import families_for
from automl.experiments.models import Experiment
from tests.factories import (
    PREPARED,
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    TrainedModelFactory,
    TrialFactory,
)

ASKED = {
    "target": "income",
    "task_type": "auto",
    "metric": "auto",
    "budget": "60",
    "families": families_for(),
    "search": "auto",
    "seed": "0",
}


@pytest.fixture
def dataset(alice):
    return DatasetFactory(owner=alice)


@pytest.fixture
def ask(browser_client, dataset):
    """Sends the form with some fields changed."""

    def send(**changed):
        posted = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
        return browser_client.post(reverse("pages:new_experiment", args=[dataset.id]), posted)

    return send


def errors_of(answer) -> dict[str, str]:
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def test_an_experiment_is_made_and_shown(ask, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = ask()
    made = Experiment.objects.get()
    assert answer.headers["Location"] == reverse("pages:experiment", args=[made.id])
    assert (made.target, made.time_budget, made.families) == ("income", 60.0, None)
    assert sent == [("prepare", made.id)]


def test_every_setting_arrives(ask, alice):
    test = DatasetFactory(owner=alice)
    ask(
        task_type="binary",
        metric="accuracy",
        budget="other",
        time_budget="45",
        families=["linear", "lightgbm"],
        ignore_columns=["city"],
        search="random",
        max_trials="7",
        seed="3",
        test_dataset=str(test.id),
        name="  mine ",
    )
    made = Experiment.objects.get()
    assert (made.task_type, made.metric, made.time_budget) == ("binary", "accuracy", 45.0)
    assert (made.families, made.ignore_columns, made.search) == (["linear", "lightgbm"], ["city"], "random")
    assert (made.max_trials, made.seed, made.test_dataset_id, made.name) == (7, 3, test.id, "mine")


def test_the_suggested_target_is_chosen(browser_client, dataset):
    page = browser_client.get(reverse("pages:new_experiment", args=[dataset.id])).content.decode()
    assert '<option value="income" selected>' in page


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"target": ""}, "target", "Choose the column"),
        ({"target": "nothing"}, "target", "not one of the available"),
        ({"budget": "other"}, "time_budget", "how many seconds"),
        ({"budget": "other", "time_budget": "1"}, "time_budget", "out of range"),
        ({"budget": "other", "time_budget": "1e9"}, "time_budget", "out of range"),
        ({"families": None}, "families", "at least one"),
        ({"ignore_columns": ["income"]}, "ignore_columns", "is the target"),
        ({"ignore_columns": ["age", "city"]}, "ignore_columns", "Every column"),
        ({"task_type": "regression", "metric": "accuracy"}, "metric", "not regression"),
        ({"max_trials": "0"}, "max_trials", "greater than or equal to 1"),
        ({"seed": str(2**40)}, "seed", "out of range"),
        ({"seed": "x"}, "seed", "whole number"),
    ],
)
def test_an_error_stands_beside_its_field(ask, changed, field, words):
    answer = ask(**changed)
    assert answer.status_code == 422
    assert words in errors_of(answer)[field]
    assert words in answer.content.decode()
    assert not Experiment.objects.exists()


def test_what_was_typed_is_kept_beside_an_error(ask):
    assert 'value="my own name"' in ask(target="", name="my own name").content.decode()


def test_a_test_dataset_of_somebody_else_is_not_offered(ask, charlie):
    other = DatasetFactory(owner=charlie)
    assert "test_dataset" in errors_of(ask(test_dataset=str(other.id)))


def test_a_test_dataset_without_the_columns_is_refused_by_name(ask, alice):
    bare = DatasetFactory(
        owner=alice, columns=[{"name": "age", "kind": "numeric", "missing": 0, "unique": 1}]
    )
    assert "city, income" in errors_of(ask(test_dataset=str(bare.id)))["test_dataset"]


def test_a_test_dataset_with_no_answers_is_refused(ask, alice):
    blank = DatasetFactory(owner=alice)
    for column in blank.columns:
        column["missing"] = blank.rows if column["name"] == "income" else 0
    blank.save()

    answer = ask(test_dataset=str(blank.id))

    assert "'income' of the test dataset is empty" in errors_of(answer)["test_dataset"]


def test_a_quota_is_told_in_a_page_of_its_own(ask, settings):
    settings.MAX_ACTIVE_EXPERIMENTS = 0
    answer = ask()
    assert answer.status_code == 429
    assert b"the most allowed" in answer.content


def test_a_dataset_that_is_not_ready_has_no_experiment_yet(browser_client, alice):
    waiting = DatasetFactory(owner=alice, state="profiling")
    answer = browser_client.get(reverse("pages:new_experiment", args=[waiting.id]))
    assert answer.status_code == 409


def act(client, name, experiment):
    return client.post(reverse(f"pages:{name}", args=[experiment.id]))


def test_cancelling(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    assert act(browser_client, "cancel_experiment", experiment).status_code == 302
    experiment.refresh_from_db()
    assert experiment.state == "cancelled"
    # Somebody else may have pressed at the same moment: that is no fault.
    assert act(browser_client, "cancel_experiment", experiment).status_code == 302


def test_what_is_not_possible_is_told_in_a_page_of_its_own(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    answer = act(browser_client, "cancel_experiment", experiment)
    assert answer.status_code == 409
    assert b"The experiment is complete" in answer.content


def test_stopping_keeps_the_best(browser_client, alice, sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(owner=alice)
    with django_capture_on_commit_callbacks(execute=True):
        act(browser_client, "stop_experiment", experiment)
    experiment.refresh_from_db()
    assert experiment.state == "stopping"
    assert sent == [("finish", experiment.id)]


def test_deleting_asks_first(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    page = browser_client.get(reverse("pages:delete_experiment", args=[experiment.id]))
    assert b"be undone" in page.content
    assert Experiment.objects.filter(deleted_at=None).exists()
    act(browser_client, "delete_experiment", experiment)
    assert browser_client.get(reverse("pages:experiment", args=[experiment.id])).status_code == 404


def shown(client, experiment) -> str:
    return client.get(reverse("pages:experiment", args=[experiment.id])).content.decode()


def test_failed_trials_are_listed_with_their_reason(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, state="failed", error="LightGBM needs two rows.")
    assert "LightGBM needs two rows." in shown(browser_client, experiment)


def test_the_best_model_is_one_click_away(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    model = TrainedModelFactory(trial=TrialFactory(experiment=experiment), is_best=True)
    assert reverse("pages:download_model", args=[model.id]) in shown(browser_client, experiment)


def test_it_is_said_when_no_worker_is_there(browser_client, alice):
    assert "No worker has answered" in shown(browser_client, ExperimentFactory(owner=alice))
    assert "No worker has answered" not in shown(
        browser_client, ExperimentFactory(owner=alice, state="complete")
    )


def test_the_list_shows_the_best_value(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    TrialFactory(experiment=experiment, score=-0.5, value=0.5)
    TrialFactory(experiment=experiment, score=-0.25, value=0.25)
    page = browser_client.get(reverse("pages:experiments")).content.decode()
    assert "0.2500" in page
    assert "0.5000" not in page
    EnsembleFactory(experiment=experiment, score=-0.125, value=0.125)
    assert "0.1250" in browser_client.get(reverse("pages:experiments")).content.decode()


def queries(client, address, django_assert_max_num_queries, most=12) -> int:
    with django_assert_max_num_queries(most) as captured:
        assert client.get(address).status_code in (200, 204)
    return len(captured)


@pytest.mark.parametrize("name", ["home", "datasets", "experiments"])
def test_lists_cost_the_same_for_many_rows(browser_client, alice, name, django_assert_max_num_queries):
    address = reverse(f"pages:{name}")
    TrialFactory(experiment=ExperimentFactory(owner=alice))
    one = queries(browser_client, address, django_assert_max_num_queries)
    for _ in range(4):
        TrialFactory(experiment=ExperimentFactory(owner=alice))
    assert queries(browser_client, address, django_assert_max_num_queries) == one


def test_an_experiment_costs_the_same_for_many_trials(browser_client, alice, django_assert_max_num_queries):
    experiment = ExperimentFactory(owner=alice)
    address = reverse("pages:experiment", args=[experiment.id])

    def add() -> None:
        TrainedModelFactory(trial=TrialFactory(experiment=experiment))
        TrialFactory(experiment=experiment, state="failed")

    add()
    one = queries(browser_client, address, django_assert_max_num_queries, most=16)
    for _ in range(5):
        add()
    assert queries(browser_client, address, django_assert_max_num_queries, most=16) == one


def test_a_poll_of_an_unchanged_board_reads_one_row(browser_client, alice, django_assert_max_num_queries):
    experiment = ExperimentFactory(owner=alice)
    address = reverse("pages:experiment_board", args=[experiment.id])
    # The session, the user, the experiment.
    assert queries(browser_client, f"{address}?version=0.running", django_assert_max_num_queries, 3) == 3


@pytest.mark.parametrize(
    ("asked", "number", "rows"), [("", 1, 25), ("2", 2, 3), ("9", 2, 3), ("0", 1, 25), ("two", 1, 25)]
)
def test_a_long_list_comes_in_pages_and_the_nearest_one_is_shown(browser_client, alice, asked, number, rows):
    ExperimentFactory.create_batch(28, owner=alice)
    page = browser_client.get(reverse("pages:experiments"), {"page": asked}).context["page"]
    assert (page.number, len(page.object_list), page.paginator.num_pages) == (number, rows, 2)
    assert (page.has_previous(), page.has_next()) == (number == 2, number == 1)


def test_a_search_of_some_of_the_rows_says_of_how_many(browser_client, alice):
    whole = ExperimentFactory(owner=alice)
    drawn = ExperimentFactory(
        owner=alice,
        prepared={**PREPARED, "drawn": 100},
        dataset=DatasetFactory(owner=alice, rows=4_000),
        warnings=["4,000 rows are too many to learn from in 1 s: 100 of them were drawn evenly."],
    )
    texts = [browser_client.get(reverse("pages:experiment", args=[each.id])).text for each in (whole, drawn)]

    assert [text.count('id="rows-learned"') for text in texts] == [0, 1]
    assert '<dd>100 <span class="quiet">of 4,000</span>' in texts[1]
    assert "One thing worth knowing about this search" in texts[1]
