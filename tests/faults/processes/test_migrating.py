"""Every block of docs/migrating.md is run, in its order, and answers as the document says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from tests.faults.legacy_files import legacy
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="runs the document's commands with curl")
BLOCKS = re.findall(r"^```sh\n(.*?)# -> (\d+)(?: (\w+))?\n```$", (ROOT / "docs/migrating.md").read_text(), re.M | re.S)


def job_in(text: str) -> dict[str, Any] | None:
    """The job in an answer, or the last one of a stream of events."""
    events = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    try:
        found = json.loads(events[-1] if events else text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "id" in found else None


def test_each_call_does_what_the_document_says(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    assert len(BLOCKS) > 30
    legacy(tmp_path, 1000).rename(tmp_path / "people.csv")
    right = (tmp_path / "people.csv").read_bytes().splitlines(keepends=True)
    (tmp_path / "right.csv").write_bytes(b"".join([right[0], *right[2:]]))
    (tmp_path / "teams.csv").write_bytes(generate_bytes(Dataset.TEAMS, 200, 7))
    shell = {**os.environ, "API": cluster.settings.api, "JOB": ""}
    for command, code, state in BLOCKS:
        # Tests share the stack: each system of the document has an organisation of this run.
        own = re.sub(r"(organisation=|\"organisation\": \")(\w+)", rf"\g<1>{organisation[-6:]}-\g<2>", command)
        # So slow that a job runs when the next command comes, however long this machine takes.
        own = re.sub(r"(rows_per_second(?:=|\": ))\d{2,}", r"\g<1>5", own)
        script = f"curl() {{ command curl -sS -w '\\n%{{http_code}}' \"$@\"; }}\n{own}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=shell,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        answer, _, status = done.stdout.rpartition("\n")
        told = f"{own}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode, status) == (0, code), told
        job = job_in(answer)
        if state:
            assert job is not None and job["state"] == state, told
        if job is not None:
            shell["JOB"] = job["id"]
    last = cluster.wait_state(shell["JOB"], "COMPLETED")
    assert last["progress"]["rows_applied"] == 200
    assert (tmp_path / "people-out.csv").read_text().count("\n") == 1001
