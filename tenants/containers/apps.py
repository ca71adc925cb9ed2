from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "tenants.containers"
    label = "containers"
