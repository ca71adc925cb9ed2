from django.urls import path

from tenants.fleet import density_views, network_views, views

urlpatterns = [
    path("machine/", views.machine, name="machine"),
    path("machine/density/", density_views.density, name="density"),
    path("machine/density/<slug:tenant>/<slug:name>/<str:process>/", density_views.limit, name="density_limit"),
    path("machine/tenants/<slug:slug>/", views.tenant, name="machine_tenant"),
    path("machine/tenants/<slug:slug>/network/", network_views.network, name="machine_network"),
    path("machine/tenants/<slug:slug>/destroy/", views.destroy_tenant, name="destroy_tenant"),
]
