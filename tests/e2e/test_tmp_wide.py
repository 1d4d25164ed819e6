from __future__ import annotations
import pytest
from tests.e2e.test_browser import experiment_of
from tests.factories import EnsembleFactory, TrialFactory
from automl.experiments.models import Experiment
from tests.e2e.conftest import PICTURES
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

def test_wide(signed_in, alice):
    signed_in.screenshot(path=PICTURES / "start-1440-light.png", full_page=True)
    signed_in.set_viewport_size({"width": 390, "height": 844})
    signed_in.emulate_media(color_scheme="dark")
    signed_in.screenshot(path=PICTURES / "start-390-dark.png", full_page=True)
    signed_in.emulate_media(color_scheme="light")
    experiment = experiment_of(alice, trials=24)
    for number, origin in ((70, "manual"), (71, "sweep"), (72, "manual")):
        TrialFactory(experiment=experiment, number=number, family="lightgbm", origin=origin, score=0.9205 + number / 30000, tied_with_best=True)
    EnsembleFactory(experiment=experiment, score=0.9312, tied_with_best=True, value_low=0.9281, value_high=0.9342)
    for width in (768, 1920, 2560):
        signed_in.set_viewport_size({"width": width, "height": 1200})
        signed_in.goto(f"/experiments/{experiment.id}/")
        signed_in.wait_for_timeout(500)
        signed_in.screenshot(path=PICTURES / f"wide-{width}.png")
    signed_in.set_viewport_size({"width": 1440, "height": 1000})
    Experiment.objects.filter(id=experiment.id).update(state="complete", phase="done", version=9)
    experiment.trials.filter(state="running").update(state="cancelled")
    top = experiment.trials.filter(number=70).get()
    for scheme in ("light", "dark"):
        signed_in.emulate_media(color_scheme=scheme)
        signed_in.goto(f"/experiments/{experiment.id}/?open={top.id}")
        signed_in.wait_for_timeout(400)
        signed_in.screenshot(path=PICTURES / f"readme-{scheme}.png")
