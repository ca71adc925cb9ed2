"""One-off commands as people ask for them, see them and read what they print."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as live_settings
from django.db import connection

from paas.errors import BadInput, Conflict
from paas.log_places import read_on
from paas.logs import older
from tenants.apps.actions import create_app
from tenants.audit.models import Event
from tenants.runs import observations, streams
from tenants.runs.actions import cancel_run
from tenants.runs.command import MOST_BYTES
from tenants.runs.logs import read_run_log
from tenants.runs.models import Run
from tests.web.cast import Cast, make_run, released
from tests.web.pages import Browser, markup

SECRET = "psql postgres://shop:very-secret@db/shop"
RUNS = "apps/demo/shop/runs"


def running(cast: Cast, command: Any = "true") -> Run:
    """As the worker makes it: with a container's row, and a log that is still empty."""
    run = Run.objects.select_related("app__tenant", "release").get(
        pk=make_run(cast.app, cast.owner, command).pk
    )
    assert observations.claim(run, process_type="run", memory_limit=1 << 28)
    assert observations.started(run, deadline=1e9)
    log_of(run).parent.mkdir(parents=True, exist_ok=True)
    return run


def ended(cast: Cast, code: int = 0, command: Any = "true") -> Run:
    run = running(cast, command)
    assert observations.ended(run, Run.Status.EXITED, exit_code=code, reason=f"exited with status {code}")
    return run


def log_of(run: Run) -> Path:
    return live_settings.PATHS.container_log(run.container_id or "")


def record(second: int, text: str, tag: str = "F", stream: str = "stdout") -> str:
    return f"2026-01-01T00:00:{second:02}.000000001+00:00 {stream} {tag} {text}\n"


# --- asking
def test_a_run_is_of_the_release_that_serves_and_knows_who_asked(cast: Cast) -> None:
    answer = cast.client(cast.developer).call("POST", RUNS, {"command": ["echo", "a b"], "time_limit": 60})
    made = answer.json()
    assert (made["status"], made["command"], made["version"]) == ("queued", "echo 'a b'", 1)
    assert (made["time_limit"], made["created_by"]) == (60, str(cast.developer))
    assert cast.client(cast.viewer).call("GET", RUNS).json() == [made]


def test_the_command_is_in_no_event_and_encrypted_where_it_is_kept(cast: Cast) -> None:
    run = make_run(cast.app, cast.developer, SECRET)
    cancel_run(actor=cast.owner, run=run)
    started, cancelled = Event.objects.filter(verb__startswith="run.").order_by("id")
    assert (started.verb, started.actor, started.app_id) == ("run.start", cast.developer, cast.app.pk)
    assert started.detail == {"run": run.pk, "version": 1}
    assert (cancelled.verb, cancelled.actor) == ("run.cancel", cast.owner)
    with connection.cursor() as cursor:
        cursor.execute("SELECT command FROM runs_run")
        assert "very-secret" not in cursor.fetchone()[0]
    assert Run.objects.get().shown == SECRET


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": ""}, "command"),
        ({"command": [" ", "x"]}, "command"),
        ({"command": "a\0b"}, "command"),
        ({"command": ["a", "\ud800"]}, "command"),
        ({"command": ["a", "x" * MOST_BYTES]}, "command"),
        ({"command": {"a": 1}}, "command"),
        ({"command": "a", "time_limit": 0}, "time_limit"),
        ({"command": "a", "time_limit": 3601}, "time_limit"),
        ({"command": "a", "time_limit": "5"}, "time_limit"),
        ({"command": "a", "release": "x"}, "release"),
    ],
)
def test_what_is_no_command_is_refused_by_field(cast: Cast, body: Any, field: str) -> None:
    answer = cast.client(cast.developer).call("POST", RUNS, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"].startswith(field)
    assert not Run.objects.exists()


def test_an_app_that_serves_nothing_runs_nothing(cast: Cast) -> None:
    app = create_app(actor=cast.owner, tenant=cast.tenant, name="fresh")
    with pytest.raises(Conflict, match="no release that serves"):
        make_run(app, cast.owner)


def test_a_tenant_has_so_many_at_once_in_all_of_its_apps(cast: Cast, settings: Any) -> None:
    settings.RUNS_AT_ONCE = 2
    second = create_app(actor=cast.owner, tenant=cast.tenant, name="second")
    released(second, cast.owner)
    first = make_run(cast.app, cast.owner)
    make_run(second, cast.owner)
    with pytest.raises(Conflict, match="2 commands of demo are running"):
        make_run(cast.app, cast.owner)
    released(cast.others_app, cast.stranger)
    make_run(cast.others_app, cast.stranger)  # a neighbour is not held up
    cancel_run(actor=cast.owner, run=first)
    make_run(cast.app, cast.owner)


# --- its life
def test_only_one_worker_claims_it_and_none_after_a_cancel(cast: Cast) -> None:
    run = make_run(cast.app, cast.owner)
    again = Run.objects.select_related("app__tenant", "release").get(pk=run.pk)
    assert observations.claim(again, process_type="run", memory_limit=1) is not None
    assert observations.claim(again, process_type="run", memory_limit=1) is None
    other = make_run(cast.app, cast.owner)
    cancel_run(actor=cast.owner, run=other)
    assert other.status == "cancelled" and other.finished_at
    assert observations.claim(other, process_type="run", memory_limit=1) is None
    assert cast.app.containers.filter(kind="command").count() == 1


def test_a_cancel_of_one_that_runs_is_asked_for_and_of_one_that_ended_refused(cast: Cast) -> None:
    run = running(cast)
    for _ in range(2):
        cancel_run(actor=cast.developer, run=run)
    assert run.status == "running" and run.cancel_asked_at
    observations.ended(run, Run.Status.CANCELLED, exit_code=143, reason="was ended by signal 15")
    with pytest.raises(Conflict, match="has ended already"):
        cancel_run(actor=cast.developer, run=run)


def test_the_first_end_counts(cast: Cast) -> None:
    run = ended(cast, 3)
    assert not observations.ended(run, Run.Status.TIMED_OUT, exit_code=0, reason="")
    assert not observations.failed(run, BadInput("late").as_dict())
    assert Run.objects.get().exit_code == 3


def test_history_keeps_the_newest_that_ended_and_all_that_run(cast: Cast) -> None:
    old, new, going = ended(cast), ended(cast), running(cast)
    assert list(observations.beyond_history(cast.app, 1)) == [old]
    observations.forget(old)
    assert set(Run.objects.all()) == {new, going}


# --- what it prints
def test_a_log_is_read_in_pieces_without_a_gap(cast: Cast) -> None:
    run = running(cast)
    assert read_run_log(run).lines == read_run_log(run, "nonsense").lines == []
    log_of(run).write_text(record(1, "one") + record(2, "tw", "P"))
    first = read_run_log(run)
    assert [line.text for line in first.lines] == ["one"] and not first.done
    with log_of(run).open("a") as log:
        log.write(record(2, "o") + record(2, "err", stream="stderr") + record(3, "no end", "P"))
    second = read_run_log(run, first.next)
    assert [(line.stream, line.text) for line in second.lines] == [("stdout", "two"), ("stderr", "err")]
    assert not second.done
    observations.ended(run, Run.Status.EXITED, exit_code=0, reason="")
    last = read_run_log(run, second.next)
    assert [line.text for line in last.lines] == ["no end"] and last.done
    assert read_run_log(run, last.next).lines == []


def test_a_place_outlives_a_rotation_and_says_what_two_of_them_lost(tmp_path: Path) -> None:
    path = tmp_path / "c.log"
    path.write_text(record(1, "a") + record(2, "b"))
    place = read_on(path, "", ended=False).next
    with path.open("a") as log:
        log.write(record(3, "c"))
    path.rename(older(path))
    path.touch()
    piece = read_on(path, place, ended=False)
    assert [line.text for line in piece.lines] == ["c"]
    path.write_text(record(4, "d"))
    piece = read_on(path, piece.next, ended=False)
    assert [line.text for line in piece.lines] == ["d"] and not piece.skipped
    path.rename(older(path))
    path.write_text(record(5, "e"))
    lost = read_on(path, place, ended=True)
    assert lost.skipped and [line.text for line in lost.lines] == ["d"] and lost.more
    rest = read_on(path, lost.next, ended=True)
    assert [line.text for line in rest.lines] == ["e"] and not rest.more


def test_a_long_log_comes_in_pieces_and_a_line_without_end_too(cast: Cast) -> None:
    run = ended(cast)
    texts = [f"{number} {'x' * 90}" for number in range(6000)]
    log_of(run).write_text("".join(record(1, text) for text in texts))
    found, place, done = [], "", False
    while not done:
        piece = read_run_log(run, place)
        found += [line.text for line in piece.lines]
        place, done = piece.next, piece.done
    assert found == texts
    log_of(run).write_text(record(1, "y" * 8000, "P") * 100)
    assert read_run_log(run).lines[0].cut > 0


def test_a_log_that_was_cut_in_its_middle_goes_on_at_the_remark(tmp_path: Path) -> None:
    """Wherever in what was cut the reader was; one that was before it misses nothing at all."""
    path = tmp_path / "c.log"
    path.write_text(record(1, "a"))
    early = read_on(path, "").next
    places = []
    for number in range(2, 30):
        with path.open("a") as log:
            log.write(record(number, f"line {number}"))
        places.append(read_on(path, early).next)
    path.write_text(
        record(1, "a") + record(30, "cut", stream="berth") + record(29, "line 29") + record(31, "end")
    )
    for place in (early, *places):
        piece = read_on(path, place)
        assert [line.text for line in piece.lines] == ["cut", "line 29", "end"]
        assert piece.skipped is (place != early)
        assert read_on(path, piece.next).lines == []


def test_a_log_that_was_cut_at_its_end_goes_on_there(tmp_path: Path) -> None:
    path = tmp_path / "c.log"
    path.write_text(record(1, "a") + record(2, "b" * 500))
    place = read_on(path, "", ended=False).next
    path.write_text(record(1, "a"))
    cut = read_on(path, place, ended=False)
    assert cut.lines == []
    with path.open("a") as log:
        log.write(record(3, "c"))
    assert [line.text for line in read_on(path, cut.next, ended=False).lines] == ["c"]


def test_the_api_gives_lines_and_where_to_go_on(cast: Cast) -> None:
    run = ended(cast, 2)
    log_of(run).write_text(record(1, "hello") + record(2, "bad", stream="stderr"))
    client = cast.client(cast.viewer)
    said = client.call("GET", f"{RUNS}/{run.pk}/log").json()
    assert [(line["stream"], line["text"]) for line in said["lines"]] == [
        ("stdout", "hello"),
        ("stderr", "bad"),
    ]
    assert said["done"] and not said["skipped"]
    assert client.call("GET", f"{RUNS}/{run.pk}/log", QUERY_STRING="after=../x").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_the_stream_follows_to_the_end_and_goes_on_from_an_id(cast: Cast) -> None:
    run = running(cast)
    log_of(run).write_text(record(1, "one"))

    async def look() -> None:
        events = streams.follow(run, "")
        first = (await anext(events)).decode()
        assert '["","2026-01-01T00:00:01.000000001+00:00","stdout","one"]' in first
        place = first.split("\n", 1)[0].removeprefix("id: ")
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        with log_of(run).open("a") as log:
            log.write(record(2, "two"))
        assert b'"two"' in await asyncio.wait_for(waiting, 5)
        await Run.objects.filter(pk=run.pk).aupdate(status="exited", exit_code=4)
        assert b'{"status":"exit 4"}' in await anext(events)
        again = [piece async for piece in streams.follow(run, place)]
        assert b'"two"' in again[0] and b'"one"' not in again[0] and b"event: end" in again[-1]

    async_to_sync(look)()


# --- pages
def test_the_form_starts_one_and_leads_to_its_page(cast: Cast) -> None:
    browser = Browser(cast.developer)
    assert b"Run a command" in browser.get("/t/demo/shop/runs/").content
    sent = browser.post("/t/demo/shop/runs/", {"command": "echo <b>hi</b>"})
    run = Run.objects.get()
    assert sent.status_code == 302 and sent.headers["Location"] == f"/t/demo/shop/runs/{run.pk}/"
    page = browser.get(sent.headers["Location"]).content.decode()
    assert "echo &lt;b&gt;hi&lt;/b&gt;" in page and "<b>hi" not in page
    assert "Stop" in page and f"/streams/t/demo/shop/runs/{run.pk}/log/" in page
    part = browser.part(f"/t/demo/shop/runs/{run.pk}/").content.decode()
    assert "<html" not in part and "<html" not in browser.part("/t/demo/shop/runs/").content.decode()
    assert b'value="echo &lt;b&gt;hi' in browser.get(f"/t/demo/shop/runs/?like={run.pk}").content


def test_a_refusal_stands_at_the_form(cast: Cast, settings: Any) -> None:
    settings.RUNS_AT_ONCE = 0
    refused = Browser(cast.developer).post("/t/demo/shop/runs/", {"command": "ls"})
    assert refused.status_code == 422 and "more at once are not allowed" in refused.content.decode()


def test_a_viewer_sees_what_ran_and_runs_nothing(cast: Cast) -> None:
    ended(cast, 3, "make report")
    page = Browser(cast.viewer).get("/t/demo/shop/runs/").content.decode()
    assert "make report" in page and "Exit 3" in page and "Run a command" not in page


def test_pages_say_how_it_ended(cast: Cast) -> None:
    late, bad = running(cast), running(cast)
    observations.ended(late, Run.Status.TIMED_OUT, exit_code=143, reason="was ended by signal 15")
    observations.failed(bad, BadInput("no such file: nope", hint="looked in /bin").as_dict())
    browser = Browser(cast.owner)
    page = markup(browser.get(f"/t/demo/shop/runs/{late.pk}/"))
    assert "It ran longer than 1 h and was ended." in page and "</span>, it was ended by signal 15" in page
    page = browser.get(f"/t/demo/shop/runs/{bad.pk}/").content.decode()
    assert "No such file: nope." in page and "Run again" in page and "Stop" not in page
