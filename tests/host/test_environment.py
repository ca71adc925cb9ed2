"""The file of settings: precedence, what may not get into it, and errors that name the nearest setting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paas.errors import BadInput
from paas.host import environment
from paas.host.installation import Installation
from paas.paths import Paths


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    base = Installation.from_environment({})
    return replace(base, paths=Paths(state=tmp_path, run=tmp_path / "run"))


def test_the_environment_wins_over_the_file_and_is_remembered(installation: Installation) -> None:
    first = environment.chosen(installation, {"BERTH_PORT": "9000", "BERTH_DOMAIN": "one.example"})
    installation.environment.write_text(environment.render(first))
    second = environment.chosen(installation, {"BERTH_DOMAIN": "two.example"})
    assert (second["BERTH_PORT"], second["BERTH_DOMAIN"]) == ("9000", "two.example")


def test_what_is_not_a_setting_of_berth_stays_out(installation: Installation) -> None:
    kept = environment.chosen(installation, {"HOME": "/root", "BERTH_TOKEN": "secret", "BERTH_APP": "a/b"})
    of_bin_up = {"BERTH_STATE", "BERTH_RUN", "BERTH_OWN_NETWORKS"}
    assert set(kept) == {*of_bin_up, "BERTH_SECRET_KEY_FILE", "BERTH_FIELD_KEYS_FILE"}


def test_a_key_that_the_operator_gives_is_not_shadowed_by_a_file(installation: Installation) -> None:
    kept = environment.chosen(installation, {"BERTH_SECRET_KEY": "theirs"})
    assert "BERTH_SECRET_KEY_FILE" not in kept


def test_a_misspelt_setting_is_an_error_with_the_nearest_name(installation: Installation) -> None:
    with pytest.raises(BadInput) as caught:
        environment.chosen(installation, {"BERTH_DOMIAN": "example.com"})
    assert caught.value.as_dict() == {
        "summary": "there is no setting BERTH_DOMIAN",
        "hint": "Did you mean BERTH_DOMAIN?",
        "details": {},
    }


def test_an_empty_database_address_goes_back_to_sqlite(installation: Installation) -> None:
    first = environment.chosen(installation, {"DATABASE_URL": "postgres://berth@localhost/berth"})
    installation.environment.write_text(environment.render(first))
    assert environment.chosen(installation, {})["DATABASE_URL"] == "postgres://berth@localhost/berth"
    assert "DATABASE_URL" not in environment.chosen(installation, {"DATABASE_URL": ""})


@pytest.mark.parametrize("address", ["mysql://berth:secret@localhost/berth", "localhost/berth:secret"])
def test_another_database_is_refused_and_its_password_not_shown(
    installation: Installation, address: str
) -> None:
    with pytest.raises(BadInput, match="not the address of a PostgreSQL database") as caught:
        environment.chosen(installation, {"DATABASE_URL": address})
    assert "secret" not in str(caught.value)


def test_a_bad_line_is_named(installation: Installation) -> None:
    installation.environment.write_text("# kept\nBERTH_PORT=1\nBERTH PORT 2\n")
    with pytest.raises(BadInput, match="line 3: not NAME=value"):
        environment.chosen(installation, {})


def test_a_line_break_cannot_smuggle_in_a_setting() -> None:
    with pytest.raises(BadInput, match="BERTH_HOST holds a line break"):
        environment.render({"BERTH_HOST": "a\nDATABASE_URL=sqlite:///x"})
