"""Ctrl-C while a program is still importing its modules, while a command runs, and once it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from runtime.text import interrupts
from runtime.text.interrupts import end_when_interrupted, raise_when_interrupted
from runtime.text.sentences import Sentences
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE

# Runs a module as a program, and interrupts it at the first import beyond those that its handler needs.
INTERRUPTED_AT_ITS_START = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in a shell's background, which ignores it
module = sys.argv.pop(1)
before = {"runtime", "runtime.text", "runtime.text.interrupts", module.split(".")[0], module, f"{module}.__main__"}
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in before and name.split(".")[0] not in sys.stdlib_module_names:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
PROGRAMS = {
    "api.server": [],
    "devstack.cli": ["jobs"],
    "devstack.launch": ["--help"],
    "ingest": [],
    "processor": [],
    "runtime.provision": [],
}
OTHERS = {
    "api.access_page", "api.client_types", "control.creation.limits_page", "control.states_page", "devstack.pins",
    "kibana", "sample_csv.ready", "schemas.jsonschema", "schemas.policies.rights",
    "devstack.supervision.supervisor",
}  # fmt: skip
"""What contributors run, and what has no terminal."""


def programs() -> Iterator[str]:
    """The modules of the installed packages that are programs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in (ROOT / package).rglob("*.py"):
            if '__name__ == "__main__"' in file.read_text("utf-8"):
                yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


def test_every_program_is_looked_at() -> None:
    assert set(programs()) == PROGRAMS.keys() | OTHERS


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_is_interrupted_at_its_start_ends_with_a_sentence(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_ITS_START, program, *PROGRAMS[program]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"sluice: interrupted\n")


@pytest.fixture
def python_s_handler() -> Iterator[None]:
    """SIGINT as Python has it at the start of a program."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("python_s_handler")
def test_a_command_gets_ctrl_c_as_an_exception_and_its_program_ends_quietly_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False)
    at_work = []

    @app.callback()
    def group() -> None: ...

    @app.command()
    def command() -> None:
        at_work.append(signal.getsignal(signal.SIGINT))
        interrupt()

    end_when_interrupted()
    with pytest.raises(SystemExit) as ended:
        app(["command"], prog_name="sluice")
    assert (ended.value.code, capsys.readouterr().err) == (130, "sluice: interrupted\n")
    assert at_work == [signal.default_int_handler]
    assert raise_when_interrupted() and not raise_when_interrupted()


@pytest.mark.parametrize("step", ["make_context", "_main_shell_completion"])
def test_a_command_line_that_is_interrupted_before_its_command_begins_ends_with_a_sentence(
    step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(typer.core.TyperGroup, step, interrupt)
    app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False)

    @app.callback()
    def group() -> None: ...

    @app.command()
    def command() -> None: ...

    with pytest.raises(SystemExit) as ended:
        app(["command"], prog_name="sluice")
    assert (ended.value.code, capsys.readouterr().err) == (130, "sluice: interrupted\n")


@pytest.mark.parametrize("handler", [signal.SIG_IGN, interrupt])
@pytest.mark.usefixtures("python_s_handler")
def test_a_signal_that_is_ignored_or_has_a_handler_stays_as_it_is(handler: Any) -> None:
    signal.signal(signal.SIGINT, handler)
    interrupts.end_when_interrupted()
    assert signal.getsignal(signal.SIGINT) is handler and not raise_when_interrupted()
