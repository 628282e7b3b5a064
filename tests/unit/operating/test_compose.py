"""The Compose file, held against the specification's schema, the code, and what a container may do."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from devstack.foreground.roles import ROLES
from runtime.settings import Settings
from tests.support.places import ROOT

Json = dict[str, Any]

COMPOSE: Json = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Json] = COMPOSE["services"]
OURS = {service: spec for service, spec in SERVICES.items() if str(spec["image"]).startswith("sluice:")}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_it_fits_the_specification() -> None:
    schema = json.loads((ROOT / "tests" / "schemas" / "compose" / "compose-spec.json").read_text("utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    assert [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({**COMPOSE, "services": {"api": {"image": "x", "read_onyl": True}}})


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_container_may_do_nothing_but_its_work(service: str) -> None:
    spec = SERVICES[service]
    assert spec["cap_drop"] == ["ALL"] and "cap_add" not in spec and "privileged" not in spec
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", spec["mem_limit"])
    assert spec["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all(str(port).startswith("127.0.0.1:") for port in spec.get("ports", []))
    if service not in ("kafka", "elasticsearch", "kibana"):  # they write their configuration when they start
        assert spec["read_only"] is True


def test_the_roles_are_those_of_the_command() -> None:
    assert {tuple(spec["command"]) for spec in OURS.values()} == {("sluice", role) for role in (*ROLES, "kibana")}
    for spec in OURS.values():
        assert spec["tmpfs"] == ["/tmp:size=64m,mode=1777"]
        if spec.get("restart") != "no":
            assert spec["stop_grace_period"] == "30s"


def test_every_variable_is_a_setting() -> None:
    for spec in OURS.values():
        fields = {variable.removeprefix("SLUICE_").lower() for variable in spec["environment"]}
        assert fields <= set(Settings.model_fields)


def test_secrets_are_files_and_stand_in_no_variable() -> None:
    secret = {name for name in Settings.model_fields if name.endswith(("_key", "_password", "_secret_access_key"))}
    for spec in OURS.values():
        assert not {variable.removeprefix("SLUICE_").lower() for variable in spec["environment"]} & secret
    assert OURS["api"]["secrets"] == list(COMPOSE["secrets"]) == ["sluice_api_key"]
    assert OURS["api"]["environment"]["SLUICE_SECRETS_FOLDER"] == "/run/secrets"
    assert [service for service, spec in OURS.items() if "secrets" in spec] == ["api"]


def test_what_is_mounted_is_there() -> None:
    for spec in SERVICES.values():
        for volume in spec.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists() and volume.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_prometheus_and_grafana_come_with_a_profile() -> None:
    assert {service for service, spec in SERVICES.items() if "profiles" in spec} == {"prometheus", "grafana"}
    scraping = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text("utf-8"))
    (port,) = re.findall(r"SLUICE_METRICS_PORT=(\d+)", DOCKERFILE)
    assert scraping["rule_files"] == [volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"][1:2]]
    for job in scraping["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        assert job["job_name"] == f"sluice-{found['names'][0]}" and found["port"] == int(port)
    assert {job["dns_sd_configs"][0]["names"][0] for job in scraping["scrape_configs"]} == {"api", "ingest", "worker"}


def test_health_is_asked_at_the_port_of_the_metrics() -> None:
    """The API's own port may speak TLS alone, and has a limit of connections."""
    (port,) = re.findall(r"SLUICE_METRICS_PORT=(\d+)", DOCKERFILE)
    for service, spec in OURS.items():
        for word in spec.get("healthcheck", {}).get("test", []):
            assert re.findall(r"https?://[^/]+", word) in ([], [f"http://127.0.0.1:{port}"]), service


def test_the_version_is_the_projects() -> None:
    version = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[0]
    assert {spec["image"] for spec in OURS.values()} == {f"sluice:${{SLUICE_VERSION:-{version}}}"}
    assert f"ARG VERSION={version}" in DOCKERFILE


def test_the_readme_names_it() -> None:
    assert "docker compose up" in (ROOT / "README.md").read_text("utf-8")
