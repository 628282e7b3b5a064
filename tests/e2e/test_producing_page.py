"""Programs of clients against the real stack: docs/producing.md and docs/python.md as they stand, and TypeScript."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import People
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster, environment
from tests.support.waiting import PATIENCE
from verify.compare import compare

TYPESCRIPT = ROOT / "tests" / "typescript"
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def output_of(program: str, folder: Path, cluster: Cluster, **more: str) -> str:
    environment = {**os.environ, **more, "KAFKA": cluster.settings.bootstrap, "SLUICE_PREFIX": cluster.settings.prefix}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_programs_of_the_page_do_what_it_says(cluster: Cluster, people: People, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(people(1_000).read_bytes())
    programs = PROGRAM.findall((ROOT / "docs" / "producing.md").read_text(encoding="utf-8"))
    clients = [program for program in programs if "people.csv" in program]
    assert ["confluent_kafka" in clients[0], "aiokafka" in clients[1], len(clients)] == [True, True, 2]
    (refusal,) = [program for program in programs if program not in clients]
    for program in clients:
        job_id = output_of(program, tmp_path, cluster)
        job = cluster.wait_state(job_id, "COMPLETED")
        assert job["progress"]["rows_applied"] == 1_000 and job["created_by"] == "topic"
        verdict = compare(cluster.settings, job_id, "people", file)
        assert verdict.holds, str(verdict)
    assert output_of(refusal, tmp_path, cluster).startswith("rejected 404 there is no job never-made")


def test_the_examples_of_the_python_client_print_what_the_page_says(
    cluster: Cluster, people: People, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_bytes(people(1_000).read_bytes())
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "e2e" / "run_page.py", ROOT / "docs" / "python.md"],
        cwd=tmp_path,
        env=environment(cluster.settings, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12


@pytest.fixture(scope="module")
def npm() -> Path:
    """The folder of the packages that make and compile a client in TypeScript."""
    if shutil.which("node") is None:
        pytest.skip("no Node.js is installed; the client in TypeScript needs it")
    if not (TYPESCRIPT / "node_modules").exists():
        pytest.skip("the generator is not installed: `npm ci --prefix tests/typescript`, as .ci/run does")
    return TYPESCRIPT / "node_modules"


def test_a_client_in_typescript_is_made_from_the_description_and_runs_a_job(
    cluster: Cluster, npm: Path, tmp_path: Path
) -> None:
    for name in ("package.json", "tsconfig.json", "generate.mjs", "program.ts"):
        (tmp_path / name).write_bytes((TYPESCRIPT / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(npm)
    (tmp_path / "openapi.json").write_bytes(cluster.request("GET", "/openapi.json").content)
    header = b"name,email,phone,country,favorite_color,created_at\n"
    rows = [
        f"Ann,ann{number}@example.org,+31201234567,NL,blue,2026-01-01T00:00:00Z\n".encode() for number in range(600)
    ]
    rows[299] = rows[299].replace(b"@", b"(at)")
    (tmp_path / "people.csv").write_bytes(header + b"".join(rows))

    def node(*words: str) -> str:
        done = subprocess.run(
            ["node", *words], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    node("generate.mjs", "openapi.json", "schema.ts")
    node("node_modules/typescript/bin/tsc", "--project", ".")
    assert json.loads(node("program.js", cluster.settings.api, "people.csv")) == {
        "paused": ["PAUSED", "lunch"],
        "ended": ["COMPLETED_WITH_ERRORS", 599, 1],
        "errors": [[300, "email"]],
        "missing": 404,
    }


def test_the_programs_of_the_page_on_signing_do_what_it_says(cluster: Cluster, people: People, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(people(1_000).read_bytes())
    wanted = {"name": "crm", "organisation": "acme", "role": "operator", "kind": "service"}
    key = cluster.call("POST", "/v1/keys", json=wanted)["key"]
    helped, plain = PROGRAM.findall((ROOT / "docs" / "signing.md").read_text(encoding="utf-8"))
    job_id = output_of(plain, tmp_path, cluster, SLUICE_KEY=key)
    path = f"/v1/jobs/{job_id}"
    cluster.wait(lambda: cluster.request("GET", path).json().get("ended"), "the job of the plain program has ended")
    assert {entry["by"] for entry in cluster.history(job_id) if entry["by"]} == {"crm"}
    job_id = output_of(helped, tmp_path, cluster, SLUICE_KEY=key, PYTHONPATH=str(ROOT))
    job = cluster.wait_state(job_id, "COMPLETED")
    assert job["progress"]["rows_applied"] == 1_000 and job["created_by"] == "crm"
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
