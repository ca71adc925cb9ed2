from django.urls import include, path

urlpatterns = [
    path("", include("tenants.accounts.urls")),
    path("", include("tenants.fleet.urls")),
    path("", include("tenants.apps.urls")),
    path("", include("tenants.releases.urls")),
    path("", include("tenants.containers.urls")),
]
