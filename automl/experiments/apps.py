from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    name = "automl.experiments"
    label = "experiments"
