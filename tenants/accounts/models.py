from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models

from paas.specs import MIB
from tenants.ids import IdField


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)  # None makes it unusable: only a sign-in link works
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person. `is_admin` administers the machine; what they may do in a tenant is their Member row."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_admin = models.BooleanField(default=False)
    time_zone = models.CharField(max_length=64, default="UTC")
    joined_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    def __str__(self) -> str:
        return self.name or self.email


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    DEVELOPER = "developer", "Developer"
    VIEWER = "viewer", "Viewer"


class Egress(models.TextChoices):
    OPEN = "open", "Open"
    LIST = "list", "Only what is listed"
    NONE = "none", "None"


class IdRange(models.Model):
    """A user-id range that was given out. Its row outlives the tenant, so that no range is given twice."""

    id = models.AutoField(primary_key=True)  # SQLite's AUTOINCREMENT: a number is not used again after a delete
    tenant_id = models.CharField(max_length=12)


def default_builds() -> int:
    """What a new tenant begins with."""
    return int(settings.BUILDS_AT_ONCE)


class Tenant(models.Model):
    """Who owns apps, and what the kernel fences in: a user-id range, a cgroup slice, a disk."""

    id = IdField()
    # No hyphen: `<app>-<tenant>` must have one reading only.
    slug = models.CharField(
        max_length=20,
        unique=True,
        validators=[RegexValidator(r"\A[a-z][a-z0-9]{1,19}\Z", "Use 2 to 20 lower-case letters and digits.")],
    )
    name = models.CharField(max_length=80)
    # The tenant's ids are [UID_BASE + 65536 * range_index, + 65536); never given to another tenant again.
    range_index = models.PositiveIntegerField(unique=True)
    memory_bytes = models.PositiveBigIntegerField(default=2048 * MIB)
    swap_bytes = models.PositiveBigIntegerField(default=2048 * MIB)
    cpu_millis = models.PositiveIntegerField(default=2000)
    pids = models.PositiveIntegerField(default=2048)
    disk_bytes = models.PositiveBigIntegerField(default=10 * 1024 * MIB)
    io_bytes = models.PositiveBigIntegerField(default=0)  # a second, read and as many written; 0: no limit
    io_operations = models.PositiveIntegerField(default=0)
    containers_at_once = models.PositiveIntegerField(default=100)  # processes and commands, not builds' steps
    builds_at_once = models.PositiveSmallIntegerField(default=default_builds)
    log_bytes = models.PositiveBigIntegerField(default=MIB)  # a second, of all of its containers together
    # Kept for it on the machine's own disk: layers that its builds and pulls brought, sources, logs.
    store_bytes = models.PositiveBigIntegerField(default=10 * 1024 * MIB)
    sleep_after = models.PositiveIntegerField(null=True)  # as App.sleep_after, for apps that say nothing
    destroyed_at = models.DateTimeField(null=True)  # asked for; the row goes when the host is clean
    quota_set_at = models.DateTimeField(null=True)  # null: as it was made
    egress = models.CharField(max_length=4, choices=Egress.choices, default=Egress.OPEN)
    egress_list = models.JSONField(default=list)  # ["192.0.2.0/24:443"], of "list"
    egress_rate = models.PositiveBigIntegerField(
        default=0
    )  # bytes a second, all containers together; 0: no limit
    egress_set_at = models.DateTimeField(null=True)  # null: as it was made
    # --- observed
    quota_applied_at = models.DateTimeField(null=True)  # the host holds the quota of `quota_set_at`
    quota_error = models.CharField(max_length=300, blank=True)  # why it does not
    in_force = models.JSONField(default=dict)  # as read from the kernel, see tenants.accounts.in_force
    store_used = models.PositiveBigIntegerField(default=0)  # of `store_bytes`
    egress_applied_at = models.DateTimeField(null=True)  # the kernel holds what was set at `egress_set_at`
    egress_error = models.CharField(max_length=300, blank=True)  # why it does not
    egress_held = models.CharField(
        max_length=4, blank=True
    )  # the policy and the rate that the kernel says it has
    egress_rate_held = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    @property
    def host_suffix(self) -> str:
        """What the host names of its apps end in, and nobody else's."""
        return f"-{self.slug}.{settings.DOMAIN}"


class Member(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.DEVELOPER)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_tenant")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class SignInLink(models.Model):
    """A link that signs one person in, once. Only its hash is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, in hexadecimal
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class ApiToken(models.Model):
    """A bearer token of a person; it can do at most what they can. Only its hash is kept."""

    class Scope(models.TextChoices):
        READ = "read", "Read only"
        DEPLOY = "deploy", "Read and change"

    id = IdField()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.DEPLOY)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, in hexadecimal
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
