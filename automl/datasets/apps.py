from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "automl.datasets"
    label = "datasets"
