from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "automl.accounts"
    label = "accounts"
