from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from tenants.accounts.models import Tenant
from tenants.ids import IdField
from tenants.secret_fields import EncryptedTextField

NAME = RegexValidator(
    r"\A[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?\Z",
    "Use 1 to 40 lower-case letters, digits and hyphens; begin with a letter, end with a letter or digit.",
)


class App(models.Model):
    """What a tenant runs. Intent is written by actions, what is observed by observations, never both."""

    class Order(models.TextChoices):
        SLEEP = "sleep"
        WAKE = "wake"

    id = IdField()
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="apps")
    name = models.CharField(max_length=40, validators=[NAME])
    stage = models.CharField(max_length=20, default="production")  # picks [stages.<stage>] of berth.toml
    # --- intent
    generation = models.PositiveIntegerField(default=0)  # goes up with each intent; fences off older work
    formation = models.JSONField(default=dict)  # process type -> count, where the person chose one
    # process type -> {"memory": bytes, "instead_of": bytes}: see tenants.releases.limits
    limits = models.JSONField(default=dict)
    sleep_after = models.PositiveIntegerField(null=True)  # idle seconds; 0: never, null: not said
    sleep_order = models.CharField(
        max_length=5, choices=Order.choices, blank=True
    )  # what a worker is to do now
    sleep_ordered_at = models.DateTimeField(null=True)  # the last order, if it was to sleep
    created_at = models.DateTimeField(auto_now_add=True)
    destroyed_at = models.DateTimeField(null=True)  # asked for; the row goes when the host is clean
    # --- observed
    serving_release_id = models.CharField(max_length=12, blank=True)  # what traffic goes to now
    is_private = models.BooleanField(default=False)  # its web process has no public address

    class Meta:
        ordering = ["tenant__slug", "name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_app_name_per_tenant")]
        indexes = [models.Index(fields=["id"], condition=~models.Q(sleep_order=""), name="app_ordered")]

    def __str__(self) -> str:
        return f"{self.tenant.slug}/{self.name}"

    @property
    def host(self) -> str:
        """The app's own host name; unique, because a tenant's slug has no hyphen."""
        return f"{self.name}{self.tenant.host_suffix}"

    @property
    def internal_name(self) -> str:
        """Of its web process, for the tenant's other containers."""
        return f"{self.name}.internal"

    @property
    def address(self) -> str:
        port = "" if settings.PORT in (80, 443) else f":{settings.PORT}"
        return f"{settings.SCHEME}://{self.host}{port}"


class ConfigVar(models.Model):
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="config_vars")
    key = models.CharField(max_length=128, validators=[RegexValidator(r"\A[A-Za-z_][A-Za-z0-9_]*\Z")])
    value = EncryptedTextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["app", "key"], name="one_config_var_per_key")]
