from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "automl.api"
    label = "api"
