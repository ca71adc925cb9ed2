from __future__ import annotations

from paas.contents import settings_of
from paas.oci.config import Healthcheck, ImageConfig


def test_what_an_image_says_of_itself() -> None:
    config = ImageConfig(
        env=(("PATH", "/bin"), ("KEY", "hunter22")),
        entrypoint=("/init", "--key=hunter22"),
        cmd=("serve",),
        shell=("/bin/ash", "-c", "hunter22"),
        workdir="/srv",
        user="app",
        exposed_ports=("9000/udp", "8000/tcp"),
        volumes=("/var/b", "/var/a"),
        labels=(("b", "hunter22"), ("a", "1")),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(("CMD", "check", "hunter22"), interval=1_500_000_000, retries=3),
    )
    assert settings_of(config, lambda text: text.replace("hunter22", "*")) == {
        "env": [["PATH", "/bin"], ["KEY", "*"]],
        "entrypoint": ["/init", "--key=*"],
        "cmd": ["serve"],
        "shell": ["/bin/ash", "-c", "*"],
        "workdir": "/srv",
        "user": "app",
        "exposed_ports": ["8000/tcp", "9000/udp"],
        "volumes": ["/var/a", "/var/b"],
        "labels": [["a", "1"], ["b", "*"]],
        "stop_signal": "SIGINT",
        "healthcheck": {"test": ["CMD", "check", "*"], "interval": 1.5, "retries": 3},
    }


def test_an_image_that_says_nothing() -> None:
    said = {name: value for name, value in settings_of(ImageConfig()).items() if value}
    assert said == {"workdir": "/", "stop_signal": "SIGTERM"}
