from datetime import timedelta

import pytest
from django.http import Http404
from django.utils import timezone

from automl.experiments import selectors
from tests.factories import EnsembleFactory, ExperimentFactory, TrainedModelFactory, TrialFactory

pytestmark = pytest.mark.django_db


def test_the_board_is_sorted_by_score_with_the_ensemble_among_the_trials():
    experiment = ExperimentFactory()
    for score in (0.7, 0.9, 0.8):
        TrialFactory(experiment=experiment, score=score)
    TrialFactory(experiment=experiment, state="failed")
    EnsembleFactory(experiment=experiment, score=0.95)

    rows = selectors.leaderboard(experiment)

    assert [(row.rank, row.score) for row in rows] == [(1, 0.95), (2, 0.9), (3, 0.8), (4, 0.7)]
    assert rows[0].trial is None
    assert rows[0].family == rows[0].origin == "ensemble"


def test_equal_scores_share_a_rank_and_the_next_rank_counts_them():
    experiment = ExperimentFactory()
    for score in (0.9, 0.9, 0.8):
        TrialFactory(experiment=experiment, score=score)

    assert [row.rank for row in selectors.leaderboard(experiment)] == [1, 1, 3]


def test_the_board_takes_two_queries_whatever_its_length(django_assert_num_queries):
    experiment = ExperimentFactory()
    for _ in range(12):
        TrainedModelFactory(trial=TrialFactory(experiment=experiment))

    with django_assert_num_queries(2):
        assert len(selectors.leaderboard(experiment)) == 12


@pytest.mark.parametrize("ensemble", [None, 0.95, 0.9, 0.8])
def test_the_lines_of_some_trials_are_those_of_the_board(ensemble, django_assert_num_queries):
    experiment = ExperimentFactory()
    for score in (0.7, 0.9, 0.8, 0.9):
        TrainedModelFactory(trial=TrialFactory(experiment=experiment, score=score))
    TrialFactory(experiment=experiment, state="failed")
    if ensemble is not None:
        EnsembleFactory(experiment=experiment, score=ensemble)
    trials = list(selectors.list_trials(experiment))

    with django_assert_num_queries(2):
        found = selectors.rows_of(experiment, trials)

    board = [row for row in selectors.leaderboard(experiment) if row.trial]
    assert sorted(found.values(), key=lambda row: row.trial) == sorted(board, key=lambda row: row.trial)


def test_the_best_row_is_the_first_of_the_board():
    experiment = ExperimentFactory()
    assert selectors.best_row(experiment) is None
    for score in (0.7, 0.9):
        TrialFactory(experiment=experiment, score=score)
    TrainedModelFactory(trial=experiment.trials.get(score=0.9))

    assert selectors.best_row(experiment) == selectors.leaderboard(experiment)[0]


def test_a_family_that_keeps_rows_is_the_answer_only_where_there_is_no_other():
    experiment = ExperimentFactory()
    neighbors = TrialFactory(experiment=experiment, family="neighbors", score=0.95)
    assert selectors.best_row(experiment).trial == str(neighbors.id)

    other = TrialFactory(experiment=experiment, family="linear", score=0.90)
    best = selectors.best_row(experiment)
    assert (best.trial, best.rank) == (str(other.id), 2)

    EnsembleFactory(experiment=experiment, score=0.93)
    best = selectors.best_row(experiment)
    assert (best.origin, best.rank) == ("ensemble", 2)


def test_each_experiment_of_a_list_has_its_own_answer(django_assert_num_queries):
    experiments = [ExperimentFactory() for _ in range(3)]
    for position, experiment in enumerate(experiments[:2]):
        for score in (0.5, 0.8 + position / 10):
            TrialFactory(experiment=experiment, score=score)

    with django_assert_num_queries(2):
        rows = selectors.best_rows([experiment.id for experiment in experiments])
    assert {id_: row.score for id_, row in rows.items()} == {
        experiments[0].id: pytest.approx(0.8),
        experiments[1].id: pytest.approx(0.9),
    }


def test_a_bundle_is_named_after_experiment_and_model():
    trial = TrialFactory(experiment=ExperimentFactory(name="Telco_churn.csv: Churn"))
    assert selectors.bundle_filename(TrainedModelFactory(trial=trial, name="Ensemble of 3")) == (
        "telco_churn-csv-churn-ensemble-of-3.zip"
    )


def test_a_model_is_named_once_it_is_ready():
    experiment = ExperimentFactory()
    model = TrainedModelFactory(trial=TrialFactory(experiment=experiment), state="packaging", is_best=True)
    assert selectors.leaderboard(experiment)[0].model is None

    model.state = "ready"
    model.save()

    assert selectors.leaderboard(experiment)[0].model == str(model.id)


def history_of(experiment):
    ensembles = selectors.list_ensembles([experiment.id])
    return selectors.courses([experiment.id], ensembles)[experiment.id].history


def test_history_tells_each_improvement_once():
    experiment = ExperimentFactory()
    for score in (0.7, 0.6, 0.9, 0.8):
        TrialFactory(experiment=experiment, score=score)

    assert [value for _, value, _ in history_of(experiment)] == [0.7, 0.9]


def test_history_goes_by_the_clock_of_the_search_and_not_by_the_wall():
    experiment = ExperimentFactory(started_at=timezone.now() - timedelta(hours=3))
    TrialFactory(experiment=experiment, score=0.9, ended_after=50.0)
    TrialFactory(experiment=experiment, score=0.8, ended_after=4.0)
    EnsembleFactory(experiment=experiment, score=0.91, made_after=58.0)
    EnsembleFactory(experiment=experiment, score=0.95, made_after=118.0, name="Ensemble of 3 #2")

    history = history_of(experiment)

    assert [moment for moment, _, _ in history] == [4.0, 50.0, 58.0, 118.0]
    assert history[-1][2] == "Ensemble of 3 #2"


def test_of_two_equal_ensembles_the_newer_is_preferred():
    experiment = ExperimentFactory(state="complete")
    TrialFactory(experiment=experiment, score=0.92)
    for name in ("Ensemble of 3", "Ensemble of 3 #2"):
        EnsembleFactory(experiment=experiment, score=0.92, name=name)

    names = [row.name for row in selectors.leaderboard(experiment)]

    assert names == ["Ensemble of 3 #2", "Ensemble of 3", "LightGBM #0"]
    assert selectors.best_row(experiment).name == "Ensemble of 3 #2"


@pytest.mark.parametrize(
    ("selector", "make"),
    [
        (selectors.get_experiment, lambda owner: ExperimentFactory(owner=owner)),
        (selectors.get_trial, lambda owner: TrialFactory(experiment__owner=owner)),
        (selectors.get_model, lambda owner: TrainedModelFactory(trial__experiment__owner=owner)),
    ],
)
def test_what_is_not_yours_is_not_there(alice, charlie, selector, make):
    thing = make(alice)

    assert selector(user=alice, id=thing.id) == thing
    with pytest.raises(Http404):
        selector(user=charlie, id=thing.id)
    with pytest.raises(Http404):
        selector(user=alice, id="not-an-id")


def test_progress_follows_the_clock_or_the_trials_and_ends_at_one():
    by_time = ExperimentFactory(time_budget=60)
    by_trials = ExperimentFactory(time_budget=6000, max_trials=4)
    for state in ("complete", "pruned", "running"):
        TrialFactory(experiment=by_trials, state=state)

    assert selectors.progress(by_time) == pytest.approx(0.5, abs=0.05)
    assert selectors.progress(by_trials) == pytest.approx(0.5)
    assert selectors.progress(ExperimentFactory(state="complete")) == 1.0
