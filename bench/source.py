"""The app that is deployed: examples/flask-guestbook with one process, changed a little for each deploy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "flask-guestbook"
BERTH_TOML = '[processes.web]\nmemory = "128M"\n\n[health]\npath = "/healthz"\n'
_ANSWERED = 'os.environ.get("GUESTBOOK_TITLE", "Guestbook")'


@dataclass(frozen=True, slots=True)
class AppSource:
    """A folder that holds the app's source. Docker starts one container, so the app has one process."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> AppSource:
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "worker.py").unlink()
        (folder / "berth.toml").write_text(BERTH_TOML)
        lines = (folder / "Procfile").read_text().splitlines(keepends=True)
        (folder / "Procfile").write_text("".join(line for line in lines if line.startswith("web:")))
        return cls(folder)

    @property
    def command(self) -> str:
        return (self.folder / "Procfile").read_text().partition(":")[2].strip()

    @property
    def requirements(self) -> Path:
        return self.folder / "requirements.txt"

    def answer(self, text: str) -> None:
        """One file changes: the front page's title is `text` from now on."""
        original = (EXAMPLE / "app.py").read_text()
        if _ANSWERED not in original:
            raise RuntimeError(f"{EXAMPLE / 'app.py'} does not say {_ANSWERED} any more")
        (self.folder / "app.py").write_text(original.replace(_ANSWERED, repr(text)))

    def fetch_wheels(self, folder: Path, python_version: str) -> None:
        """All that the app depends on, as files, so that Docker's side can be built without a network."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--only-binary=:all:", f"--python-version={python_version}", f"--dest={folder}",
                   f"--requirement={self.requirements}"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pip download: {done.stderr.strip()[-2000:]}")
