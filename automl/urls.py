from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from automl.api.prometheus import metrics

urlpatterns = [
    path("api/v1/", include("automl.api.urls", namespace="api")),
    path("metrics", metrics, name="metrics"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("automl.pages.urls", namespace="pages")),
]

# Under /api/ they answer in the API's shape, elsewhere with the pages' templates.
handler400 = "automl.api.errors.bad_request"
handler403 = "automl.api.errors.permission_denied"
handler404 = "automl.api.errors.page_not_found"
handler500 = "automl.api.errors.server_error"
