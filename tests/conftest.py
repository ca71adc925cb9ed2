"""Settings for every test: a state folder of its own, never the machine's."""

from __future__ import annotations

import os
import tempfile

from cryptography.fernet import Fernet

_state = tempfile.mkdtemp(prefix="berth-test-")
os.environ.setdefault("BERTH_STATE", _state)
os.environ.setdefault("BERTH_RUN", f"{_state}/run")
os.environ.setdefault("BERTH_SECRET_KEY", "only-for-tests")
os.environ.setdefault("BERTH_FIELD_KEYS", Fernet.generate_key().decode())
os.environ.setdefault("BERTH_PREFIX", "bt")
os.environ.setdefault("BERTH_CONTAINER_PREFIX", "10.209.0.0/16")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")
