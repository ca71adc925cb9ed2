from django.urls import path

from tenants.runs import streams, views

urlpatterns = [
    path("t/<slug:tenant>/<slug:name>/runs/", views.runs, name="runs"),
    path("t/<slug:tenant>/<slug:name>/runs/<str:run_id>/", views.run, name="run"),
    path("t/<slug:tenant>/<slug:name>/runs/<str:run_id>/cancel/", views.cancel, name="cancel_run"),
    path("streams/t/<slug:tenant>/<slug:name>/runs/<str:run_id>/log/", streams.run_log, name="run_log_stream"),
]
