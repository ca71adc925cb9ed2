from django.urls import path

from tenants.fleet import views

urlpatterns = [
    path("machine/", views.machine, name="machine"),
    path("machine/tenants/<slug:slug>/", views.tenant, name="machine_tenant"),
]
