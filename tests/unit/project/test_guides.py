"""docs/deploying.md and docs/runbook.md name only what exists: settings, topics, ports, options, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
import yaml

from devstack.cli import app
from processor.backups.sentences import MEANINGS
from runtime.settings import Settings
from schemas.topics import TopicName
from tests.support.places import ROOT

GUIDES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("deploying", "runbook")}
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")


def code(text: str) -> Iterator[str]:
    """What is set in the type of code, in a line or as lines of their own."""
    yield from re.findall(r"`([^`\n]+)`", text)
    yield from re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)


def commands() -> dict[str, Any]:
    """Name -> command, as `sluice` has them, those of groups as "keys create"."""
    found: dict[str, Any] = {}
    top = typer.main.get_command(app)

    def walk(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            found[f"{before}{name}"] = command
            if hasattr(command, "commands"):
                walk(command, f"{before}{name} ")

    walk(top, "")
    return found


@pytest.mark.parametrize("guide", GUIDES)
def test_every_variable_is_one_that_is_read(guide: str) -> None:
    settings = {f"SLUICE_{name.upper()}" for name in Settings.model_fields}
    beside = set(re.findall(r"\$\{(SLUICE_\w+)", COMPOSE))
    named = set(re.findall(r"SLUICE_[A-Z0-9_]*[A-Z0-9]", GUIDES[guide]))
    unknown = {name for name in named - settings - beside if not any(one.startswith(f"{name}_") for one in settings)}
    assert unknown == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_has_the_options_that_are_named(guide: str) -> None:
    known = commands()
    wrong = []
    for line in code(GUIDES[guide]):
        words = re.match(r"(?:\S+=\S+ )*(?:\./)?sluice ([a-z]+)(?: ([a-z]+))?", line)
        if words is None:
            continue
        two = f"{words[1]} {words[2]}"
        command = known.get(two) or known.get(words[1])
        if command is None:
            wrong.append(line)
            continue
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        wrong += [f"{line}: {one}" for one in re.findall(r"(?<!\S)--[a-z-]+", line) if one not in options]
    assert wrong == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_module_that_is_run_exists(guide: str) -> None:
    for module in re.findall(r"python -m ([a-z_.]+[a-z_])", GUIDES[guide]):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_is_in_the_repository(guide: str) -> None:
    folders = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
    named = re.findall(rf"(?<![\w/.])((?:{folders}|\.ci)/[\w./-]*[\w])", "\n".join(code(GUIDES[guide])))
    absent = [path for path in named if not (ROOT / path).exists()]
    assert [path for path in absent if path not in ("kafka/data",)] == []


@pytest.mark.parametrize(
    "folder", re.findall(r"^\| `((?:base|components|overlays)[\w/-]*)` \|", GUIDES["deploying"], re.M)
)
def test_every_folder_of_the_manifests_exists(folder: str) -> None:
    assert (ROOT / "k8s" / folder / "kustomization.yaml").is_file()


def test_every_folder_of_the_manifests_is_named() -> None:
    k8s = ROOT / "k8s"
    there = {str(file.parent.relative_to(k8s)) for file in k8s.rglob("kustomization.yaml")}
    assert {folder for folder in there if f"`{folder}`" not in GUIDES["deploying"]} <= {"overlays/dev/servers"}


def test_the_ports_of_compose_are_those_that_are_named() -> None:
    published = re.findall(r"127\.0\.0\.1:(?:\$\{SLUICE_API_PORT:-(\d+)\}|(\d+)):", COMPOSE)
    numbers = {one or other for one, other in published}
    assert numbers == set(
        re.findall(r"\((\d{4})\)", GUIDES["deploying"].split("## Compose")[1].split("## Kubernetes")[0])
    )


def test_the_ports_of_the_network_policies_are_those_that_are_named() -> None:
    policies = [
        one
        for file in sorted((ROOT / "k8s" / "base").glob("*.yaml"))
        for one in yaml.safe_load_all(file.read_text("utf-8"))
        if one and one.get("kind") == "NetworkPolicy"
    ]
    out = {
        port["port"] for one in policies for rule in one["spec"].get("egress", ()) for port in rule.get("ports", ())
    } - {53}
    (sentence,) = re.findall(r"by their ports, ([^.]*)\.", GUIDES["deploying"])
    assert out == {int(number) for number in re.findall(r"\d+", sentence)}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_secret_is_one_of_the_manifests(guide: str) -> None:
    manifests = "\n".join(file.read_text("utf-8") for file in (ROOT / "k8s").rglob("*.yaml"))
    named = set(re.findall(r"sluice-[a-z]+-(?:secrets|settings)", GUIDES[guide]))
    assert {name for name in named if name not in manifests} == set()


def test_every_topic_of_the_guides_exists() -> None:
    topics = set(get_args(TopicName))
    text = GUIDES["runbook"]
    named = set(re.findall(r"the topics? `([a-z-]+)`", text)) | set(re.findall(r"`([a-z-]+)` of `[a-z-]+`, ", text))
    named |= set(re.findall(r"`retention\.ms` of `([a-z-]+)`, `([a-z-]+)`", text)[0])
    assert named <= topics


def test_every_role_of_the_table_is_a_command() -> None:
    known = commands()
    for role in re.findall(r"^\| `sluice (\w+)` \|", GUIDES["deploying"], re.MULTILINE):
        assert role in known


def test_every_answer_of_the_comparison_is_explained() -> None:
    """The guide's table has a line for each kind, but for files, keys and results, which share one."""
    (table,) = re.findall(r"\| it says \| what happened \|\n\|---\|---\|\n((?:\|.*\n)+)", GUIDES["runbook"])
    kinds = len(MEANINGS) - 2 + 1  # and that all agree
    assert table.count("\n") == kinds
