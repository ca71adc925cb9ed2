"""An app's whole log as a file to keep."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from paas.logs import older
from tenants.containers.models import Container
from tests.web.cast import Cast
from tests.web.pages import Browser

PATH = "/t/demo/shop/log.txt"


def container(cast: Cast, kind: str) -> Container:
    row: Container = cast.app.containers.create(
        tenant=cast.tenant, kind="process", process_type=kind, memory_limit=1, status="running"
    )
    return row


def write(row: Container, *seconds: int, rotated: bool = False) -> None:
    path = settings.PATHS.container_log(row.pk)
    path = older(path) if rotated else path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"2026-01-01T00:00:{n:02}Z stdout F line {n}\n" for n in seconds))


def text(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_all_that_is_kept_of_all_containers_in_the_order_of_time(cast: Cast) -> None:
    web, worker = container(cast, "web"), container(cast, "worker")
    write(web, 1, 3, rotated=True)
    write(web, 6)
    write(worker, 2, 7)
    found = text(Browser(cast.viewer).get(PATH))
    assert [line.split()[1] + line[-1] for line in found.splitlines()] == [
        "web.11", "worker.12", "web.13", "web.16", "worker.17"
    ]  # fmt: skip
    assert found.startswith("2026-01-01T00:00:01Z web.1 stdout line 1\n")
    assert "worker" not in text(Browser(cast.viewer).get(f"{PATH}?process=web"))


def test_it_is_never_shown_as_a_page(cast: Cast) -> None:
    row = container(cast, "web")
    write(row, 1)
    response = Browser(cast.owner).get(PATH)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="shop.log"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_an_app_without_a_log_has_an_empty_one(cast: Cast) -> None:
    assert text(Browser(cast.owner).get(PATH)) == ""
