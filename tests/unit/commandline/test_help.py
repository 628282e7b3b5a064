"""The help of every command, and completion, when stdout is a full disk, or a pipe whose reader has closed it."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.main import get_command

from devstack.cli import app
from tests.support.places import ROOT

FULL = "sluice: the output can't be written: No space left on device\n"


def named(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command that has help."""
    if command.add_help_option:
        yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from named(inner, *words, name)


HELPS = [(*words, "--help") for words in named(get_command(app))]


Ending = Callable[[tuple[str, ...], str], tuple[int, str]]


@pytest.fixture(params=[False, True], ids=["buffered", "written at once"])
def ending(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ending:
    """Runs a command with stdout on a full disk, or on a pipe without a reader: its exit code, and what stderr has.

    stdout is buffered, or written at once as with PYTHONUNBUFFERED.
    """

    def run(words: tuple[str, ...], kind: str) -> tuple[int, str]:
        if kind == "full":
            descriptor = os.open("/dev/full", os.O_WRONLY)
        else:
            reader, descriptor = os.pipe()
            os.close(reader)
        with monkeypatch.context() as patch:
            stream = open(descriptor, "w")  # noqa: SIM115, PTH123
            stream.reconfigure(line_buffering=request.param, write_through=request.param)
            patch.setattr(sys, "stdout", stream)
            with pytest.raises(SystemExit) as ended:
                app(list(words), prog_name="sluice")
        stream.close()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
@pytest.mark.parametrize("columns", ["60", "100"])
def test_help_that_can_not_be_written(
    words: tuple[str, ...], columns: str, ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert ending(words, "full") == (1, FULL)
    assert ending(words, "closed") == (0, "")


@pytest.mark.parametrize("words", [(), ("keys",)], ids=str)
@pytest.mark.parametrize("columns", ["60", "100"])
def test_a_group_without_a_command_shows_its_help_and_is_wrong_usage(
    words: tuple[str, ...],
    columns: str,
    ending: Ending,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert ending(words, "full") == (2, FULL)
    assert ending(words, "closed") == (2, "")
    with pytest.raises(SystemExit) as ended:
        app(list(words), prog_name="sluice")
    shown = capsys.readouterr()
    assert ended.value.code == 2 and "Usage: " in shown.out and shown.err == ""


@pytest.mark.parametrize(("kind", "expected"), [("full", (1, FULL)), ("closed", (0, ""))])
@pytest.mark.parametrize("way", ["option", "variable"])
def test_completion_that_can_not_be_written(
    way: str, kind: str, expected: tuple[int, str], ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    if way == "variable":
        monkeypatch.setenv("_SLUICE_COMPLETE", "source_bash")
    assert ending(("--show-completion",), kind) == expected


def test_rich_ends_no_command_whose_remarks_nobody_reads() -> None:
    """Its console exits with 1 then: `Remarks` does not. The one on stdout is for a terminal, which is no pipe."""
    found = {
        file.relative_to(ROOT).as_posix()
        for folder in ("commandline", "devstack", "kibana", "runtime", "sample_csv")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Console"
    }
    assert found == {"commandline/commands/top.py"}
