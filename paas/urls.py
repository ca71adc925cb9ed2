from django.urls import include, path

from paas.api import api
from paas.health import healthz

urlpatterns = [
    path("healthz/", healthz),
    path("api/v1/", api.urls),
    path("", include("tenants.accounts.urls")),
    path("", include("tenants.fleet.urls")),
    path("", include("tenants.store.urls")),
    path("", include("tenants.apps.urls")),
    path("", include("tenants.volumes.urls")),
    path("", include("tenants.releases.urls")),
    path("", include("tenants.registries.urls")),
    path("", include("tenants.containers.urls")),
    path("", include("tenants.inspections.urls")),
    path("", include("tenants.isolation.urls")),
    path("", include("tenants.runs.urls")),
]
handler404 = "tenants.audit.responses.not_found"
handler500 = "tenants.audit.responses.server_error"
