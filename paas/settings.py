"""Settings, flat, each read once from the environment. NAME_FILE may name a file that holds the value."""

from __future__ import annotations

import sys
import sysconfig
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from environs import Env

from paas.paths import Paths

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent


def secret(name: str, default: str | None = None) -> str:
    """The value of NAME, or the content of the file that NAME_FILE names."""
    path: str | None = env.str(f"{name}_FILE", None)
    if path:
        return Path(path).read_text().strip()
    return str(env.str(name) if default is None else env.str(name, default))


# --- the host -----------------------------------------------------------------------------------
PATHS = Paths(
    state=Path(env.str("BERTH_STATE", "/var/lib/berth")), run=Path(env.str("BERTH_RUN", "/run/berth"))
)
# Prefix of every host object that has a global name: cgroups, nft tables, interfaces. Two letters.
BERTH_PREFIX = env.str("BERTH_PREFIX", "bv")
CGROUP_ROOT = env.str("BERTH_CGROUP_ROOT", "/berth")
CONTROL_CGROUP = f"{CGROUP_ROOT}-control"  # of Berth's own processes, beside all tenants'
CONTAINER_PREFIX = IPv4Network(env.str("BERTH_CONTAINER_PREFIX", "10.210.0.0/16"))
# Above the ranges of systemd-nspawn and of /etc/subuid; room for 4,095 tenants of 65,536 ids each.
UID_BASE = env.int("BERTH_UID_BASE", 1_879_048_192)
# Private ranges that containers may reach all the same, beside the public internet.
EGRESS_ALLOW: list[IPv4Network] = list(map(IPv4Network, env.list("BERTH_EGRESS_ALLOW", [])))
# Closed to them, too: bin/up writes what this machine is part of.
OWN_NETWORKS: list[IPv4Network] = list(map(IPv4Network, env.list("BERTH_OWN_NETWORKS", [])))
BUILD_CA_BUNDLE = env.str("BERTH_BUILD_CA_BUNDLE", "")
BUILD_ENV: dict[str, str] = env.dict("BERTH_BUILD_ENV", {})
BASE_SUITE = env.str("BERTH_BASE_SUITE", "bookworm")  # the Debian that apps stand on which ask for no version

# The interpreter of the private environment; its folder has uv, which builds are given read-only.
PYTHON = sys.executable
GROUP = env.str("BERTH_GROUP", "berth")  # may read logs and sources: the web process

# --- addresses ----------------------------------------------------------------------------------
PORT = env.int("BERTH_PORT", 8080)
DOMAIN = env.str("BERTH_DOMAIN", "localhost").lower()
DASHBOARD_HOST = env.str("BERTH_HOST", f"berth.{DOMAIN}").lower()
SCHEME = env.str("BERTH_SCHEME", "http")
ORIGIN = f"{SCHEME}://{DASHBOARD_HOST}" + (f":{PORT}" if PORT not in (80, 443) else "")

# --- Django -------------------------------------------------------------------------------------
SECRET_KEY = secret("BERTH_SECRET_KEY")
# First key encrypts, all decrypt: put a new one in front to rotate.
FIELD_KEYS = secret("BERTH_FIELD_KEYS").split(",")
DEBUG = False
ALLOWED_HOSTS = [DASHBOARD_HOST]
CSRF_TRUSTED_ORIGINS = [ORIGIN]
ROOT_URLCONF = "paas.urls"
WSGI_APPLICATION = "paas.wsgi.application"
ASGI_APPLICATION = "paas.asgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_cotton",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "tenants.audit",
    "tenants.accounts",
    "tenants.apps",
    "tenants.volumes",
    "tenants.releases",
    "tenants.containers",
    "tenants.inspections",
    "tenants.isolation",
    "tenants.store",
    "tenants.registries",
    "tenants.runs",
    "tenants.fleet",
    "paas",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "paas.csp.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "tenants.accounts.bodies.LargeBodies",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "tenants.accounts.middleware.ReaderTimeZone",
    "tenants.audit.middleware.BerthErrors",
]
# Its OpenAPI page's files, so that no CDN is asked for them. As one of INSTALLED_APPS it would be imported by
# workers, who need none of it, with all that it stands on: 9 MiB of each.
_NINJA = Path(sysconfig.get_path("purelib")) / "ninja"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates", _NINJA / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tenants.accounts.context.shell",
                "tenants.isolation.context.alarm",
                "tenants.fleet.context.swap",
            ],
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static", _NINJA / "static"]
STATIC_ROOT = PATHS.state / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- data ---------------------------------------------------------------------------------------
DATABASES: dict[str, Any]
# Seconds until somebody else's lock is an error, which a page tells as 503. Berth's own are held for moments.
LOCK_SECONDS = 20
if env.str("DATABASE_URL", ""):
    _server: dict[str, Any] = {**env.dj_db_url("DATABASE_URL")}
    _patience = {
        "options": f"-c lock_timeout={LOCK_SECONDS}s",
        # A server that vanished without a word, in seconds but the last: libpq would wait for a quarter of an
        # hour, and the agent with it.
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 20_000,  # milliseconds
    }
    DATABASES = {
        "default": {
            **_server,
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {**_patience, **_server.get("OPTIONS", {})},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "paas.sqlite",
            "NAME": PATHS.database,
            # Kept for good: whoever closes the last one waits for the disk, while SQLite empties its log. So
            # each thread of a worker has one: what they read is in the system's page cache, not in each again
            # (of -512, -128 and -64 KiB none was quicker than another).
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": LOCK_SECONDS,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                "PRAGMA cache_size=-128;",
            },
        }
    }
VALKEY_URL = f"unix://{PATHS.valkey_socket}"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": VALKEY_URL}}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

# --- sign-in ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "rules.permissions.ObjectPermissionBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "tenants.accounts.adapter.ClosedSignUp"
ALLAUTH_TRUSTED_PROXY_COUNT = 1
# The ingress alone reaches the web process (a Unix socket) and replaces what a client says here.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SCHEME == "https"
if SCHEME == "https":
    # Apps live on neighbouring hosts: with this prefix a browser takes the cookie from this very host only.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# --- uploads ------------------------------------------------------------------------------------
SOURCE_MAX_BYTES = env.int("BERTH_SOURCE_MAX_BYTES", 256 * 1024 * 1024)
SOURCE_MAX_UNPACKED = env.int("BERTH_SOURCE_MAX_UNPACKED", 2048) * 1024 * 1024  # MiB
SOURCE_MAX_FILES = env.int("BERTH_SOURCE_MAX_FILES", 100_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
FILE_UPLOAD_TEMP_DIR = env.str("BERTH_UPLOAD_TMP", None)

# --- builds -------------------------------------------------------------------------------------
BUILD_SECONDS = env.int("BERTH_BUILD_SECONDS", 1800)  # the longest that one may take, all steps together
BUILD_MEMORY = env.int("BERTH_BUILD_MEMORY", 1024)  # MiB for a step, within the tenant's quota
BUILD_CPU = env.int("BERTH_BUILD_CPU", 2000)  # thousandths of a core
BUILDS_AT_ONCE = env.int("BERTH_BUILDS_AT_ONCE", 1)  # of one tenant

# --- one-off commands ---------------------------------------------------------------------------
RUN_SECONDS = env.int("BERTH_RUN_SECONDS", 3600)  # the longest that one may run
RUNS_AT_ONCE = env.int("BERTH_RUNS_AT_ONCE", 4)  # of one tenant

# --- disk ---------------------------------------------------------------------------------------
# Of the disk that holds the state folder, for each container; 0 is no limit.
IO_BYTES = env.int("BERTH_IO_BANDWIDTH", 100) * 1024 * 1024  # MiB a second read, and as many again written
IO_OPERATIONS = env.int("BERTH_IO_OPERATIONS", 10000)  # a second, reads, and as many writes

# --- memory -------------------------------------------------------------------------------------
SLEEP_AFTER = env.int("BERTH_SLEEP_AFTER", 900)  # seconds without traffic; 0 is never
SWAP = env.str("BERTH_SWAP", "0")  # what bin/up makes: a file of "8G" or "auto", "zram" or "zram:4G"

# --- image store --------------------------------------------------------------------------------
KEPT_IMAGES = env.int("BERTH_KEPT_IMAGES", 10)  # of an app, for going back to
PRUNE_ABOVE = env.int("BERTH_PRUNE_ABOVE", 80)  # percent of the disk in use
PRUNE_HOUR = env.int("BERTH_PRUNE_HOUR", 3)  # UTC

# --- registries ---------------------------------------------------------------------------------
# Hosts that images may be pulled from and pushed to; none named is any that containers can reach.
REGISTRIES: list[str] = env.list("BERTH_REGISTRIES", [])
INSECURE_REGISTRIES: list[str] = env.list("BERTH_INSECURE_REGISTRIES", [])  # plain http, or any certificate
PULL_MAX_BYTES = env.int("BERTH_PULL_MAX_BYTES", 8 * 1024 * 1024 * 1024)  # and as much unpacked

# --- queue --------------------------------------------------------------------------------------
CELERY_BROKER_URL = f"redis+socket://{PATHS.valkey_socket}"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_AUTOSCALER = "paas.pools:AtRest"
CELERY_TASK_TIME_LIMIT = 3600
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 2 * 3600}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ROUTES = {
    "berth.build": {"queue": "build"},
    "berth.push": {"queue": "transfer"},
    "berth.export": {"queue": "transfer"},
    "berth.upkeep": {"queue": "transfer"},
    "berth.inspect": {"queue": "transfer"},
    "berth.volume": {"queue": "transfer"},
    "berth.measure": {"queue": "transfer"},
    "berth.isolation": {"queue": "transfer"},
    "berth.*": {"queue": "deploy"},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
