"""Settings as variables and files give them: what is empty, what is out of bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.address import base_url, key_source
from devstack.layout import Layout
from devstack.supervision.roles import own
from runtime.settings import Settings, settings

NAMES = sorted(Settings.model_fields)


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("capitals", [True, False])
def test_an_empty_variable_counts_as_unset(name: str, capitals: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = settings()
    settings.cache_clear()
    variable = f"SLUICE_{name}"
    monkeypatch.setenv(variable.upper() if capitals else variable.lower(), "")
    assert settings() == unset
    assert base_url() == unset.api


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_of_the_secrets_counts_as_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = settings()
    settings.cache_clear()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / f"sluice_{name}").write_text(" \n")
    monkeypatch.setenv("SLUICE_SECRETS_FOLDER", str(tmp_path / "secrets"))
    assert settings() == unset.model_copy(update={"secrets_folder": tmp_path / "secrets"})


def test_an_empty_variable_hides_no_file_of_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "sluice_prefix").write_text("ours\n")
    monkeypatch.setenv("SLUICE_SECRETS_FOLDER", str(tmp_path / "secrets"))
    monkeypatch.setenv("SLUICE_PREFIX", "")
    assert settings().prefix == "ours"


@pytest.mark.parametrize("folder", ["", None])
def test_the_current_folder_is_no_folder_of_secrets(
    folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder is not None:
        monkeypatch.setenv("SLUICE_SECRETS_FOLDER", folder)
    (tmp_path / "sluice_prefix").write_text("of-others")
    assert settings().prefix == "sluice"


def test_an_empty_home_leaves_the_current_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_HOME", "")
    (tmp_path / "admin.key").write_text("of-others")
    before = tmp_path.stat().st_mode
    assert key_source() is None
    Layout.of(settings()).prepare()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sluice", "admin.key"]
    assert tmp_path.stat().st_mode == before
    assert key_source() == ((tmp_path / ".sluice" / "admin.key").read_text().strip(), ".sluice/admin.key")


@pytest.mark.parametrize(("value", "passed_on"), [(None, "false"), ("", "false"), ("true", "true")])
def test_the_local_stack_asks_for_no_key_unless_told(
    value: str | None, passed_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("SLUICE_API_REQUIRE_KEY", value)
    programs = own(settings(), Layout.of(settings()), 1)
    assert {program.environment["SLUICE_API_REQUIRE_KEY"] for program in programs} == {passed_on}
