from django.contrib import admin

from automl.datasets.models import Dataset


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin[Dataset]):
    list_display = ("name", "owner", "state", "rows", "bytes", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "owner__username", "sha256")
    readonly_fields = ("id", "sha256", "bytes", "created_at")
