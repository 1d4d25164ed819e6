from __future__ import annotations

from django.urls import path

from automl.pages import (
    account,
    datasets,
    dials,
    experiments,
    operations,
    steering,
    sweeps,
    trained_models,
    trials,
)

app_name = "pages"

urlpatterns = [
    path("", experiments.home, name="home"),
    path("sign-in/<str:uid>/<str:token>/", account.sign_in, name="sign_in"),
    path("account/", account.account, name="account"),
    path("account/tokens/<str:key>/revoke/", account.revoke, name="revoke_token"),
    path("datasets/", datasets.index, name="datasets"),
    path("datasets/upload/", datasets.upload, name="upload"),
    path("datasets/<uuid:id>/", datasets.dataset, name="dataset"),
    path("datasets/<uuid:id>/state/", datasets.state, name="dataset_state"),
    path("datasets/<uuid:id>/kinds/", datasets.kinds, name="dataset_kinds"),
    path("datasets/<uuid:id>/delete/", datasets.delete, name="delete_dataset"),
    path("datasets/<uuid:id>/new-experiment/", experiments.new, name="new_experiment"),
    path("experiments/", experiments.index, name="experiments"),
    path("experiments/<uuid:id>/", experiments.experiment, name="experiment"),
    path("experiments/<uuid:id>/progress/", experiments.progress, name="experiment_progress"),
    path("experiments/<uuid:id>/board/", experiments.board, name="experiment_board"),
    path("experiments/<uuid:id>/limits/", steering.limits, name="experiment_limits"),
    path("experiments/<uuid:id>/pause/", steering.pause, name="pause_experiment"),
    path("experiments/<uuid:id>/resume/", steering.resume, name="resume_experiment"),
    path("experiments/<uuid:id>/extend/", steering.extend, name="extend_experiment"),
    path("experiments/<uuid:id>/change/", steering.change, name="change_experiment"),
    path("experiments/<uuid:id>/stop/", steering.stop, name="stop_experiment"),
    path("experiments/<uuid:id>/cancel/", steering.cancel, name="cancel_experiment"),
    path("experiments/<uuid:id>/delete/", experiments.delete, name="delete_experiment"),
    path("experiments/<uuid:id>/dials/", dials.dials, name="dials"),
    path("experiments/<uuid:id>/dials/preview/", dials.preview, name="dials_preview"),
    path("experiments/<uuid:id>/dials/mine/", dials.mine, name="dials_mine"),
    path("experiments/<uuid:id>/sweeps/", sweeps.sweeps, name="sweeps"),
    path("experiments/<uuid:id>/sweeps/count/", sweeps.count, name="sweeps_count"),
    path("experiments/<uuid:id>/sweeps/<uuid:sweep>/", sweeps.response, name="sweep_response"),
    path("trials/<uuid:id>/", trials.trial, name="trial"),
    path("trials/<uuid:id>/state/", trials.state, name="trial_state"),
    path("trials/<uuid:id>/skip/", steering.skip, name="skip_trial"),
    path("trials/<uuid:id>/model/", trials.package, name="package_trial"),
    path("models/<uuid:id>/", trained_models.model, name="model"),
    path("models/<uuid:id>/state/", trained_models.state, name="model_state"),
    path("operations/", operations.overview, name="operations"),
    path("operations/state/", operations.state, name="operations_state"),
    path("models/<uuid:id>/download/", trained_models.download, name="download_model"),
]
