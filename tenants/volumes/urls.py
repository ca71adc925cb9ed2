from django.urls import path

from tenants.volumes import views

urlpatterns = [
    path("t/<slug:tenant>/<slug:name>/volumes/<slug:volume>/delete/", views.delete, name="delete_volume"),
]
