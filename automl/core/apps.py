from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "automl.core"
    label = "core"
