from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    name = "tenants.registries"
    label = "registries"
