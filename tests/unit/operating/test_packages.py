"""What is installed: each package that pyproject.toml names, pinned with hashes, and each package of ours."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devstack.pins import BESIDE, LAYERS, blocks
from tests.support.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REQUIRED = {"core": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
FILES = {file.stem: file.read_text("utf-8") for file in (ROOT / "requirements").glob("*.txt")}


def pinned(layer: str) -> dict[str, str]:
    """Package -> version, of a layer with those before it."""
    layers = LAYERS[: LAYERS.index(layer) + 1] if layer in LAYERS else (layer,)
    found = re.findall(r"^([a-z0-9-]+)==([^ ]+)", "".join(FILES[name] for name in layers), re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("layer", [*LAYERS, *BESIDE])
def test_what_pyproject_asks_for_is_pinned(layer: str) -> None:
    wanted = REQUIRED.get(layer) or BESIDE[layer] + (
        tuple(PROJECT["build-system"]["requires"]) if layer == "build" else ()
    )
    for requirement in map(Requirement, wanted):
        if requirement.name != "sluice":
            assert pinned(layer)[canonicalize_name(requirement.name)] in requirement.specifier, requirement
    assert set(FILES) == {*LAYERS, *BESIDE}


@pytest.mark.parametrize("layer", sorted(FILES))
def test_every_file_of_a_pinned_package_has_its_hash(layer: str) -> None:
    lacking = [name for name, lines in blocks(FILES[layer]).items() if "--hash=sha256:" not in lines]
    assert lacking == []


def test_every_package_of_ours_is_shipped_checked_and_has_its_layer() -> None:
    tools = PROJECT["tool"]
    ours = {folder.parent.name for folder in ROOT.glob("*/__init__.py")}
    assert set(tools["mypy"]["packages"]) == ours
    assert set(tools["hatch"]["build"]["targets"]["wheel"]["packages"]) == ours - {"bench"}
    assert set(tools["importlinter"]["root_packages"]) == ours - {"bench"}


def _modules(folder: Path) -> set[str]:
    """Names of the modules and packages in a package's folder."""
    files = {file.stem for file in folder.glob("*.py") if file.stem != "__init__"}
    return files | {found.parent.name for found in folder.glob("*/__init__.py")}


def test_the_modules_of_each_folder_have_their_layers() -> None:
    config = PROJECT["tool"]["importlinter"]
    layered = {
        container
        for contract in config["contracts"]
        if contract["type"] == "layers" and contract.get("exhaustive")
        for container in contract.get("containers", ())
    }
    free = {"client", "runtime"}  # their layers leave out modules that any other may import
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for root in config["root_packages"]
        for file in (ROOT / root).rglob("__init__.py")
        if len(_modules(file.parent)) >= 5
    }
    assert folders - layered - free == set(), "give them layers in pyproject.toml, so that no imports go in circles"
