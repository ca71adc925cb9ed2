from django.urls import path

from tenants.apps import views

urlpatterns = [
    path("", views.apps, name="apps"),
    path("apps/new/", views.new_app, name="new_app"),
    path("t/<slug:tenant>/<slug:name>/destroy/", views.destroy, name="destroy"),
]
