from django.urls import path

from tenants.releases import settings_views, streams, views

urlpatterns = [
    path("t/<slug:tenant>/<slug:name>/deploy/", views.deploy, name="deploy"),
    path("t/<slug:tenant>/<slug:name>/restart/", views.restart, name="restart"),
    path("t/<slug:tenant>/<slug:name>/builds/", views.builds, name="builds"),
    path("t/<slug:tenant>/<slug:name>/builds/<str:build_id>/", views.build, name="build"),
    path("t/<slug:tenant>/<slug:name>/builds/<str:build_id>/log.txt", views.build_log, name="build_log"),
    path("t/<slug:tenant>/<slug:name>/builds/<str:build_id>/cancel/", views.cancel, name="cancel_build"),
    path("t/<slug:tenant>/<slug:name>/releases/", views.releases, name="releases"),
    path("t/<slug:tenant>/<slug:name>/releases/<int:version>/rollback/", views.rollback, name="rollback"),
    path("t/<slug:tenant>/<slug:name>/config/", settings_views.config, name="config"),
    path("t/<slug:tenant>/<slug:name>/config/many/", settings_views.config_many, name="config_many"),
    path("t/<slug:tenant>/<slug:name>/config/<str:key>/", settings_views.config_var, name="config_var"),
    path("t/<slug:tenant>/<slug:name>/config/<str:key>/unset/", settings_views.unset, name="config_unset"),
    path("t/<slug:tenant>/<slug:name>/settings/", settings_views.settings_page, name="settings"),
    path("t/<slug:tenant>/<slug:name>/limits/<str:process>/", settings_views.limit, name="limit"),
    path(
        "streams/t/<slug:tenant>/<slug:name>/builds/<str:build_id>/log/",
        streams.build_log,
        name="build_log_stream",
    ),
]
