from django.urls import path

from tenants.registries import streams, views

urlpatterns = [
    path("tenants/<slug:slug>/registries/", views.registries, name="registries"),
    path("tenants/<slug:slug>/registries/<str:host>/remove/", views.sign_out, name="remove_registry"),
    path("t/<slug:tenant>/<slug:name>/deploy/image/", views.deploy_image, name="deploy_image"),
    path("t/<slug:tenant>/<slug:name>/pushes/", views.pushes, name="pushes"),
    path("t/<slug:tenant>/<slug:name>/pushes/<str:push_id>/cancel/", views.cancel_push, name="cancel_push"),
    path("t/<slug:tenant>/<slug:name>/exports/", views.export, name="export"),
    path(
        "t/<slug:tenant>/<slug:name>/exports/<str:export_id>/cancel/", views.cancel_export, name="cancel_export"
    ),
    path(
        "streams/t/<slug:tenant>/<slug:name>/exports/<str:export_id>/image.tar",
        streams.archive,
        name="export_archive",
    ),
]
