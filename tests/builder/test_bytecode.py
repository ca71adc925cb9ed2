"""The install of Python's dependencies, run by the real uv: what it compiles."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from paas.builder.buildpacks.python import VENV
from paas.builder.plan import RunStep
from tests.builder.planning import PlanOf

TOOLS = Path(sys.executable).parent
WHEEL = "lib-1.0-py3-none-any.whl"
INFO = "lib-1.0.dist-info"
FILES = {
    "lib/__init__.py": "COLOUR = 'blue'\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/RECORD": "".join(f"{name},,\n" for name in ("lib/__init__.py", f"{INFO}/RECORD")),
}


def install(step: RunStep, home: Path) -> Path:
    """Run the step with `home` in place of the app's folder; the virtual environment that it made."""
    venv = home / ".venv"
    shutil.rmtree(venv, ignore_errors=True)
    env = {name: value.replace(VENV, str(venv)) for name, value in step.env}
    env |= {"PATH": f"{TOOLS}:/usr/bin:/bin", "HOME": str(home), "UV_CACHE_DIR": str(home / "cache")}
    args = [word.replace(VENV, str(venv)) for word in step.args]
    subprocess.run(args, cwd=home, env={**env, "UV_OFFLINE": "1"}, check=True, capture_output=True)
    return venv


def test_bytecode_is_the_same_with_each_install_and_an_edited_source_counts(
    plan_of: PlanOf, tmp_path: Path
) -> None:
    plan, _ = plan_of({"requirements.txt": f"./{WHEEL}\n", "Procfile": "web: x"})
    (step,) = (step for step in plan.stages[0].steps if isinstance(step, RunStep))
    (tmp_path / "requirements.txt").write_text(f"./{WHEEL}\n")
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    made = []
    for _ in range(2):
        venv = install(step, tmp_path)
        (compiled,) = venv.glob("lib/python3*/site-packages/lib/__pycache__/*.pyc")
        made.append(compiled.read_bytes())
        time.sleep(1.1)  # bytecode by time would hold whole seconds
    assert made[0] == made[1]
    source = compiled.parent.parent / "__init__.py"
    source.write_text("COLOUR = 'grey'\n")
    program = [str(venv / "bin/python"), "-c", "import lib; print(lib.COLOUR)"]
    assert subprocess.run(program, capture_output=True, check=True).stdout == b"grey\n"
