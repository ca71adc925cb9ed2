from django.apps import AppConfig


class VolumesConfig(AppConfig):
    name = "tenants.volumes"
    label = "volumes"
