"""Settings as variables and files give them: empty ones, hosts, and those that contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client.exposition import MetricsHandler
from pydantic import ValidationError

from client.address import base_url, key_source
from commandline.address import api_url
from devstack.layout import Layout
from devstack.ports import is_free, is_open
from devstack.supervision.roles import own
from runtime.network.urls import server_url
from runtime.settings import Settings, settings
from runtime.telemetry.exporter import _Server
from runtime.text.sentences import sentence

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


HOSTS = ["127.0.0.1", "0.0.0.0", "localhost", "api.example", "::1", "::", "fe80::1", "2001:db8::8a2e:370:7334"]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("host", HOSTS)
def test_every_host_makes_a_url_that_leads_to_it(host: str, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_API_HOST", host)
    monkeypatch.setenv("SLUICE_API_PORT", "8443")
    if tls:
        monkeypatch.setenv("SLUICE_API_TLS_CERT_FILE", "cert.pem")
        monkeypatch.setenv("SLUICE_API_TLS_KEY_FILE", "key.pem")
    url = urlsplit(server_url(settings().api))
    assert (url.scheme, url.hostname, url.port) == ("https" if tls else "http", host, 8443)
    assert base_url() == api_url() == settings().api
    assert httpx2.URL(settings().api).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_metrics_are_served_at_an_address_of_either_kind(host: str) -> None:
    if not is_free(0, host):
        pytest.skip(f"this machine has no {host}")
    with _Server(host, 0, MetricsHandler) as server:
        assert is_open(server.server_port, host)
        assert not is_free(server.server_port, host)


CONTRADICTIONS = [
    {"SLUICE_API_TLS_CERT_FILE": "cert.pem"},
    {"SLUICE_API_TLS_KEY_FILE": "key.pem"},
    {"SLUICE_API_TLS_CERT_FILE": "cert.pem", "SLUICE_API_PORT": "no port"},
    {"SLUICE_API_PORT": "0", "SLUICE_KAFKA_PORT": "70000"},
]


@pytest.mark.parametrize("variables", CONTRADICTIONS)
def test_a_refusal_names_variables_that_exist(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        settings()
    told, _ = sentence(refused.value)
    named = re.findall(r"SLUICE_\w*", told)
    assert named and set(named) <= {f"SLUICE_{name.upper()}" for name in NAMES}, told
    assert not told.startswith(":") and "error" not in told
