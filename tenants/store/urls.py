from django.urls import path

from tenants.store import views

urlpatterns = [
    path("machine/store/", views.store, name="store"),
    path("machine/store/<slug:kind>/", views.ask, name="store_ask"),
]
