"""A run whose Kafka and Elasticsearch can't be had ends at once, with one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.waiting import PATIENCE

TESTS = "\n".join(f"def test_{number}(stack): pass" for number in range(20))


@pytest.mark.parametrize(
    ("processes", "variable", "value", "why"),
    [
        ((), "SLUICE_CACHE", "{folder}/test_tiny.py", "(SLUICE_CACHE) can't be written: name another one."),
        (("-n", "2"), "SLUICE_CACHE", "{folder}/test_tiny.py", "(SLUICE_CACHE) can't be written: name another one."),
        ((), "SLUICE_TEST_SERVERS", "here", "SLUICE_TEST_SERVERS is KAFKA_PORT,ELASTICSEARCH_PORT, not 'here'."),
    ],
)
def test_a_run_without_its_servers_ends_at_once(
    tmp_path: Path, processes: tuple[str, ...], variable: str, value: str, why: str
) -> None:
    (tmp_path / "test_tiny.py").write_text(TESTS, encoding="utf-8")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SLUICE_", "PYTEST_"))}
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml", *processes]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        env={**kept, variable: value.format(folder=tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode not in (0, 5), done.stdout + done.stderr
    assert done.stdout.count("\nERROR ") == 1, done.stdout  # in the summary: of 20 tests
    assert "Interrupted: the tests' Kafka and Elasticsearch can't be had: " in done.stdout
    assert why in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
