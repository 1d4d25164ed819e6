from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "automl.pages"
    label = "pages"
