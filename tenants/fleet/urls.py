from django.urls import path

from tenants.fleet import views

urlpatterns = [path("machine/", views.machine, name="machine")]
