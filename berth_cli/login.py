"""Where Berth is and who one is there: BERTH_URL and BERTH_TOKEN, or the file that `berth login` writes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from berth_cli.errors import CliError

DEFAULT_URL = "http://berth.localhost:8080"


@dataclass(frozen=True, slots=True)
class Login:
    url: str
    token: str


def config_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "berth" / "login.json"


def save(login: Login) -> Path:
    """Only its owner may read it, from its first byte on."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(login), file)
    part.rename(path)
    return path


def load() -> Login:
    saved = _read()
    url = os.environ.get("BERTH_URL") or saved.get("url", "")
    token = os.environ.get("BERTH_TOKEN") or saved.get("token", "")
    if not url or not token:
        raise CliError("you are not signed in", "Run berth login, or set BERTH_URL and BERTH_TOKEN.")
    if os.environ.get("BERTH_URL") and not os.environ.get("BERTH_TOKEN") and url != saved.get("url"):
        # The saved token belongs to the saved address; no other server gets to see it.
        raise CliError(f"there is no token for {url}", f"Run berth login {url}, or set BERTH_TOKEN.")
    return Login(url.rstrip("/"), token)


def _read() -> dict[str, str]:
    try:
        saved = json.loads(config_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CliError(f"cannot read {config_file()}: {error}", "Run berth login again.") from None
    return {str(key): str(value) for key, value in saved.items()} if isinstance(saved, dict) else {}
