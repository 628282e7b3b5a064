"""The command `sluice kibana` as it is started, against a server that answers as Kibana's import does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from devstack.ports import free_port
from kibana.catalog import text
from tests.support.places import ROOT
from tests.support.stubs.kibana import Kibana, kibana_stub
from tests.support.waiting import PATIENCE


@pytest.fixture
def kibana() -> Iterator[Kibana]:
    with kibana_stub() as server:
        yield server


def sluice(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "devstack.cli", *words],
        cwd=ROOT,
        env={**os.environ, "SLUICE_KIBANA_URL": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_the_command_sends_every_object(kibana: Kibana) -> None:
    done = sluice(kibana.url, "kibana", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert kibana.taken == [json.loads(line) for line in text().splitlines()]
    assert json.loads(done.stdout)["imported"] == len(kibana.taken)


def test_where_nothing_listens_the_exit_code_is_3() -> None:
    done = sluice(f"http://127.0.0.1:{free_port()}", "kibana")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("sluice: Kibana at http://127.0.0.1:") and "can't be reached" in done.stderr


def test_another_server_is_told_from_kibana(kibana: Kibana) -> None:
    done = sluice(f"{kibana.url}/elsewhere", "kibana")
    assert done.returncode == 2 and "check SLUICE_KIBANA_URL" in done.stderr
