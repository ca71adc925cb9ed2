from django.urls import path

from tenants.containers import streams, views

urlpatterns = [
    path("t/<slug:tenant>/<slug:name>/", views.app, name="app"),
    path("t/<slug:tenant>/<slug:name>/parts/<slug:part>/", views.part, name="part"),
    path("t/<slug:tenant>/<slug:name>/log/", views.log, name="log"),
    path("t/<slug:tenant>/<slug:name>/containers/<str:container_id>/commit/", views.commit, name="commit"),
    path("t/<slug:tenant>/<slug:name>/sleep/", views.sleep, name="sleep"),
    path("t/<slug:tenant>/<slug:name>/sleep/after/", views.sleep_after, name="sleep_after"),
    path("t/<slug:tenant>/<slug:name>/wake/", views.wake, name="wake"),
    path("t/<slug:tenant>/<slug:name>/log.txt", views.log_file, name="log_file"),
    path("streams/t/<slug:tenant>/<slug:name>/log/", streams.app_log, name="app_log_stream"),
]
