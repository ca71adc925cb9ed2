from django.apps import AppConfig


class AppsConfig(AppConfig):
    name = "tenants.apps"
    label = "apps"
