from django.urls import path

from tenants.isolation import views

urlpatterns = [
    path("tenants/<slug:slug>/isolation/", views.tenant, name="isolation"),
    path("machine/isolation/", views.machine, name="machine_isolation"),
]
