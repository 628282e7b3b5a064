"""How each process begins and ends: it always ends, with a sentence and an exit code, and signals always count."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devstack.ports import free_port
from runtime.process import CannotStartError
from runtime.readiness import Readiness
from runtime.settings import Settings
from tests.support.processes.forking import Forked
from tests.support.waiting import PATIENCE, wait_until

ROLES = ("processor", "ingest", "api.server")
COMMANDS = (*ROLES, "runtime.provision")


def environment(home: Path, **more: str) -> dict[str, str]:
    """The settings of a process that can't reach Kafka."""
    given = {
        "SLUICE_HOME": str(home / "home"),
        "SLUICE_READY_FILE": str(home / "ready"),
        "SLUICE_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "SLUICE_API_PORT": str(free_port()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return {**os.environ, **given, **more}


def started(module: str, home: Path, **more: str) -> subprocess.Popen[str]:
    """A process of a role, from its first moment on."""
    command = [sys.executable, "-m", module]
    return subprocess.Popen(command, env=environment(home, **more), stderr=subprocess.PIPE, text=True)


def refused(module: str, home: Path, **more: str) -> str:
    """The last line of a start that fails."""
    log = home / "log"
    process = Forked(module, environment(home, **more), log)
    code, told = process.wait(PATIENCE), log.read_text("utf-8")
    assert code == 1 and "Traceback" not in told, told
    return told.strip().splitlines()[-1]


@pytest.mark.parametrize("module", ROLES)
def test_a_ready_file_that_cant_be_made_ends_the_process(module: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = refused(module, tmp_path, SLUICE_READY_FILE=str(tmp_path / "file" / "ready"))
    assert "SLUICE_READY_FILE" in told and str(tmp_path) in told


@pytest.mark.parametrize("module", COMMANDS)
def test_a_certificate_that_is_not_there_ends_the_process(module: str, tmp_path: Path) -> None:
    told = refused(module, tmp_path, SLUICE_KAFKA_CA_FILE="/no/such.pem", SLUICE_KAFKA_SECURITY_PROTOCOL="SSL")
    assert "SLUICE_KAFKA_CA_FILE /no/such.pem can't be read: No such file or directory" in told


@pytest.mark.parametrize("module", COMMANDS)
def test_a_setting_that_cant_be_used_ends_the_process(module: str, tmp_path: Path) -> None:
    assert "SLUICE_BLOCK_ROWS: " in refused(module, tmp_path, SLUICE_BLOCK_ROWS="many")


@pytest.mark.parametrize("module", ["processor", "api.server"])
def test_an_operation_that_is_not_there_ends_the_process(module: str, tmp_path: Path) -> None:
    assert "SLUICE_OPERATIONS: 'no:Such'" in refused(module, tmp_path, SLUICE_OPERATIONS="no:Such")


def test_a_port_that_is_taken_ends_the_api(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = started("api.server", tmp_path, SLUICE_API_PORT=str(taken.getsockname()[1]))
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "address already in use" in told and "Traceback" not in told, told


@pytest.mark.parametrize("module", ROLES)
def test_a_signal_counts_from_the_first_moment_on(module: str, tmp_path: Path) -> None:
    """As the first process of a container a program without handlers is deaf to signals."""
    process = started(module, tmp_path)
    status = Path(f"/proc/{process.pid}/status")
    bit = 1 << (signal.SIGTERM - 1)
    caught = "SigCgt:"

    def handled() -> bool:
        masks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith(caught)]
        return bool(int(masks[0], 16) & bit)

    begun = time.monotonic()
    wait_until(handled, "the process handles SIGTERM")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "Traceback" not in told, (told, time.monotonic() - begun)


@pytest.mark.parametrize("module", ROLES)
def test_a_process_is_not_ready_because_an_earlier_one_was(module: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.touch()
    process = started(module, tmp_path)
    try:
        wait_until(lambda: not ready.exists(), "the file of the earlier process is gone")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert not ready.exists()
    finally:
        process.kill()


def test_readiness_is_told_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "ready"
    readiness = Readiness(Settings(ready_file=file))
    assert not readiness.ready and list(file.parent.iterdir()) == []
    readiness.mark()
    assert readiness.ready and file.exists()
    readiness.clear()
    assert not readiness.ready and not file.exists()
    file.parent.rmdir()
    with pytest.raises(CannotStartError, match="SLUICE_READY_FILE"):
        readiness.mark()
