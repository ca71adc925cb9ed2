"""Settings for every test: a state folder of its own, never the machine's.

A plugin, which pytest loads before that for Django, and so before Django's settings: each process that runs
tests has its own, whatever the one that started it has.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

STATE = tempfile.mkdtemp(prefix="berth-test-")
Path(STATE, "static").mkdir()  # whitenoise warns without it
os.environ |= {
    "BERTH_STATE": STATE,
    "BERTH_RUN": f"{STATE}/run",
    "BERTH_SECRET_KEY": "only-for-tests",
    "BERTH_FIELD_KEYS": Fernet.generate_key().decode(),
    "BERTH_PREFIX": "bt",
    "BERTH_CONTAINER_PREFIX": "10.209.0.0/16",
    "DJANGO_SETTINGS_MODULE": "paas.settings",
}
