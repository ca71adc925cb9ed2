from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "tenants.runs"
    label = "runs"
