"""Operations of one's own: how they are named, and what is said of one that can't be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from control.creation.kinds import BUILT_IN, INTERFACE, OperationError, kinds, plugins
from processor.catalog import operations
from processor.operations.base import Operation
from runtime.settings import Settings

CODE = """
from extensions import Kind

class Fly:
    name = "fly"
    kind = Kind(sources=frozenset({"file"}), exclusive=False)

    async def apply(self, work, blocks): ...
    async def undo(self, work, blocks): ...
    async def left_over(self, work): ...

class Upload(Fly):
    name = "upload"

class Later(Fly):
    name = "later"
    interface = 99

class Odd(Fly):
    name = "odd"
    interface = "2"

class Shouting(Fly):
    name = "FLY! now"

class Sourceless(Fly):
    name = "sourceless"
    kind = Kind(sources=frozenset({"queue"}))

class Stuck:
    name = "stuck"
    kind = Fly.kind

class Writer(Fly):
    name = "writer"
    kind = Kind(sources=frozenset({"query"}), dated=True, makes_file=True)

class Now(Fly):
    name = "now"
    interface = 1

class Nothing:
    pass

class Picky:
    def __init__(self, much):
        pass
"""


def made(settings: Settings) -> dict[str, Operation]:
    """The operations of a worker that has no storage and no Elasticsearch."""
    nothing = cast(Any, None)
    return operations(settings, nothing, nothing)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE, "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return name


def test_every_operation_that_comes_along_has_a_kind_for_the_api() -> None:
    assert {name: operation.kind for name, operation in made(Settings()).items()} == dict(BUILT_IN)
    assert kinds("") == dict(BUILT_IN)


def test_an_operation_that_is_named_is_known_to_all_parts(module: str) -> None:
    named = f" {module}:Fly, "
    assert kinds(named)["fly"].exclusive is False
    assert made(Settings(operations=named))["fly"] is plugins(named)[0]
    assert [one.name for one in plugins(f"{module}:Fly,{module}:Now")] == ["fly", "now"], "no interface named is 1"


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("no_such_module:Fly", "No module named"),
        ("{}:Crawl", "no attribute 'Crawl'"),
        ("{}", "write module:Class"),
        (":Fly", "write module:Class"),
        ("{}:Nothing", "needs a name and a kind"),
        ("{}:Picky", "missing 1 required positional argument"),
        ("{}:Later", f"written for interface 99, and this version of Sluice has {INTERFACE}; update Sluice"),
        ("{}:Odd", "its interface is '2'"),
        ("{}:Shouting", "1 to 64 letters"),
        ("{}:Sourceless", "sources ['queue']; use one or more of file, query, topic"),
        ("{}:Stuck", "it lacks apply, undo, left_over"),
        ("{}:Writer", "it lacks finish, discard, keep"),
        ("{}:Upload", "there is an operation 'upload' already"),
        ("{0}:Fly,{0}:Fly", "there is an operation 'fly' already"),
    ],
)
def test_one_that_can_not_be_used_is_named_with_the_reason(module: str, named: str, words: str) -> None:
    with pytest.raises(OperationError, match="SLUICE_OPERATIONS") as error:
        plugins(named.format(module))
    assert words in str(error.value)
