"""What the Go, PHP and Ruby buildpacks make of a source."""

from __future__ import annotations

import json

import pytest

from paas.builder.plan import CacheMount, RunStep
from paas.errors import BadInput
from tests.builder.planning import PlanOf, bases, lines, put


def test_go_builds_one_program_or_those_in_cmd(plan_of: PlanOf) -> None:
    plan, (web,) = plan_of({"go.mod": "module example.org/hello/v2\n", "main.go": "// x\npackage main\n"})
    assert bases(plan) == ["berth/go:1.19", "debian:12"]
    assert lines(plan) == ["go build -ldflags='-s -w' -o /build/ ."]
    assert web.args == ("/app/bin/hello",)
    run = plan.stages[0].steps[-1]
    assert isinstance(run, RunStep)
    assert dict(run.env)["GOFLAGS"] == "-mod=readonly"
    assert dict(run.env)["CGO_ENABLED"] == "0"


def test_go_in_cmd_and_vendored(plan_of: PlanOf) -> None:
    files = {"go.mod": "module a\n", "lib.go": "package a\n", "cmd/serve/main.go": "", "vendor/modules.txt": ""}
    plan, (web,) = plan_of(files)
    assert lines(plan)[0].endswith(" ./cmd/...")
    assert web.args == ("/app/bin/serve",)
    run = plan.stages[0].steps[-1]
    assert isinstance(run, RunStep) and dict(run.env)["GOFLAGS"] == "-mod=vendor"
    with pytest.raises(BadInput, match=r"\./cmd has several programs"):
        plan_of({**files, "cmd/other/main.go": ""})


REQUIRING = """\
module a
require (
	example.org/far v1.0.0
	example.org/near v0.0.0
)
replace example.org/near => ./libs/near/
replace example.org/out => ../out
"""


def test_go_downloads_modules_before_the_source_is_there(plan_of: PlanOf) -> None:
    files = {
        "go.mod": REQUIRING,
        "go.sum": "",
        "main.go": "package main\n",
        "libs/near/go.mod": "module near\n",
    }
    plan, _ = plan_of(files)
    assert put(plan)[:4] == [
        "WORKDIR /build", "WORKDIR /modules", "COPY go.mod go.sum libs/near/go.mod /app/", "COPY . /app/",
    ]  # fmt: skip
    assert lines(plan) == [
        "GOMODCACHE=/var/cache/go/modules go mod download && "
        "GOPROXY=file:///var/cache/go/modules/cache/download GOSUMDB=off go mod download",
        "go build -ldflags='-s -w' -o /build/ .",
    ]
    runs = [step for step in plan.stages[0].steps if isinstance(step, RunStep)]
    assert [step.mounts for step in runs] == [(CacheMount("/var/cache/go", "go"),)] * 2
    assert {dict(step.env)["GOMODCACHE"] for step in runs} == {"/modules"}


@pytest.mark.parametrize(
    "more", [{"vendor/modules.txt": ""}, {"go.work": "use ."}, {"go.mod": "module a\n// require nothing\n"}]
)
def test_go_has_no_layer_of_modules_where_go_mod_does_not_say_all(
    plan_of: PlanOf, more: dict[str, str]
) -> None:
    plan, _ = plan_of({"go.mod": REQUIRING, "main.go": "package main\n", **more})
    assert put(plan)[:2] == ["WORKDIR /build", "COPY . /app/"]
    run = plan.stages[0].steps[-1]
    assert isinstance(run, RunStep) and dict(run.env)["GOMODCACHE"] == "/var/cache/go/modules"


def test_php_with_and_without_composer(plan_of: PlanOf) -> None:
    plan, (web,) = plan_of({"index.php": "", "vendor/mine.php": ""})
    assert bases(plan) == ["berth/php:8.2"]
    assert web.args == ("/bin/sh", "-c", "exec /etc/berth/serve")
    assert "The whole source is served" in plan.notes[0]
    plan, _ = plan_of({"composer.json": '{"a": 1}', "composer.lock": "{}", "public/index.php": ""})
    assert bases(plan) == ["berth/php:8.2-build", "berth/php:8.2"]
    assert lines(plan)[0].startswith("composer install --no-dev ")
    assert put(plan)[0] == "COPY composer.json composer.lock /app/"
    assert plan.notes == ()


HEROKU = {"composer.json": "{}", "index.php": "", "web/index.php": "", "htdocs/a.html": ""}


@pytest.mark.parametrize(
    ("command", "served", "runs", "ignored"),
    [
        ("heroku-php-apache2 htdocs/", "/app/htdocs", "exec /etc/berth/serve", ""),
        ("vendor/bin/heroku-php-nginx -C nginx.conf -F fpm.conf web", "/app/web", "exec /etc/berth/serve",
         "options of heroku-php-nginx are ignored: -C nginx.conf, -F fpm.conf."),
        ("heroku-php-apache2 ./web/ -i php.ini -l 'a log'", "/app/web", "exec /etc/berth/serve",
         "options of heroku-php-apache2 are ignored: -i php.ini, -l a log."),
        ("$(composer config bin-dir)/heroku-php-apache2", "/app", "exec /etc/berth/serve", ""),
        ("WEB_CONCURRENCY=4 heroku-php-nginx web/", "/app/web", "WEB_CONCURRENCY=4 exec /etc/berth/serve", ""),
        ("php warm.php && vendor/bin/heroku-php-apache2 web/", "/app/web",
         "php warm.php && /etc/berth/serve", ""),
    ],
)  # fmt: skip
def test_herokus_php_servers_are_replaced(
    plan_of: PlanOf, command: str, served: str, runs: str, ignored: str
) -> None:
    plan, (web,) = plan_of({**HEROKU, "Procfile": f"web: {command}\n"})
    assert put(plan)[1].endswith(f"configuration, for {served}")
    assert web.args == ("/bin/sh", "-c", runs)
    assert plan.notes[1].startswith("web: Berth's own PHP server runs in place of heroku-php-")
    assert [note for note in plan.notes if "options" in note] == ([f"web: {ignored}"] if ignored else [])


def test_berth_toml_has_the_last_word_on_what_php_serves(plan_of: PlanOf) -> None:
    files = {**HEROKU, "Procfile": "web: heroku-php-apache2 htdocs/\n", "web/.htaccess": ""}
    plan, (web,) = plan_of({**files, "berth.toml": '[build]\nroot = "web"\n'})
    assert put(plan)[1].endswith("configuration, for /app/web")
    assert plan.notes[2:] == (
        "web: berth.toml's [build] root is used, heroku-php-apache2's (htdocs/) is ignored.",
        "web: .htaccess is ignored, for nginx serves: what is not a file goes to index.php.",
    )
    plan, (web,) = plan_of({**files, "berth.toml": '[processes.web]\ncommand = "php -S [::]:$PORT"\n'})
    assert web.args[-1] == "exec php -S [::]:$PORT"
    assert not any("web: " in note for note in plan.notes)
    plan, (web,) = plan_of(
        {**files, "berth.toml": '[processes.web]\ncommand = ["heroku-php-nginx", "htdocs"]\n'}
    )
    assert web.args[-1] == "exec /etc/berth/serve"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("heroku-php-apache2 public/", r"serves public/, which is no folder"),
        ("heroku-php-apache2 ../other", r"not inside the source"),
        ("heroku-php-apache2 -x web/", r"option -x not recognized"),
        ("heroku-php-apache2 web/ htdocs/", r"several folders"),
    ],
)
def test_herokus_php_server_with_what_it_cannot_serve(plan_of: PlanOf, command: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        plan_of({**HEROKU, "Procfile": f"web: {command}\n"})


def test_a_class_map_needs_the_source(plan_of: PlanOf) -> None:
    plan, _ = plan_of(
        {"composer.json": '{"autoload": {"classmap": ["lib"]}}', "index.php": "", "lib/a.php": ""}
    )
    assert put(plan)[0] == "COPY . /app/"


@pytest.mark.parametrize("root", ['a"b', "a$b"])
def test_a_folders_name_is_no_way_into_nginx(plan_of: PlanOf, root: str) -> None:
    toml = f"[build]\nroot = {json.dumps(root)}\n"
    with pytest.raises(BadInput, match="in its name"):
        plan_of({f"{root}/index.php": "", "berth.toml": toml})


LOCK = """\
PATH
  remote: engines/one
  specs:
    one (0.1)

GEM
  remote: https://rubygems.org/
  specs:
    propshaft (1.0)
    puma (6.4)
    rails (7.1)

DEPENDENCIES
  rails
"""


def test_ruby_on_rails(plan_of: PlanOf) -> None:
    files = {"Gemfile": "gem 'rails'", "Gemfile.lock": LOCK, "config.ru": "", "engines/one/one.gemspec": ""}
    plan, (web,) = plan_of(files)
    assert bases(plan) == ["berth/ruby:3.1-build", "berth/ruby:3.1"]
    assert put(plan)[:2] == ["WORKDIR /bundle", "COPY Gemfile Gemfile.lock engines/one /app/"]
    assert lines(plan)[1] == "bundle exec rails assets:precompile"
    assert web.args[-1] == "exec bundle exec puma --port $PORT"


def test_ruby_without_gems_from_an_index_needs_no_compiler(plan_of: PlanOf) -> None:
    lock = LOCK.replace("    propshaft (1.0)\n    puma (6.4)\n    rails (7.1)\n", "")
    plan, _ = plan_of({"Gemfile": "", "Gemfile.lock": lock, "Procfile": "web: x"})
    assert bases(plan) == ["berth/ruby:3.1", "berth/ruby:3.1"]
