from django.urls import path

from tenants.inspections import views

APP = "t/<slug:tenant>/<slug:name>"
urlpatterns = [
    path(f"{APP}/releases/<int:version>/image/", views.image, name="look_inside"),
    path(f"{APP}/releases/<int:version>/layers/<str:layer>/", views.layer, name="list_layer"),
    path(f"{APP}/releases/<int:version>/compare/", views.compare, name="compare"),
    path(f"{APP}/containers/<str:container_id>/changes/", views.changes, name="container_changes"),
    path(f"{APP}/inspections/<str:inspection_id>/", views.inspection, name="inspection"),
    path(f"{APP}/inspections/<str:inspection_id>/bill.json", views.bill, name="bill_of_materials"),
]
