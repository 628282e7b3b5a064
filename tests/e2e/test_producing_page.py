"""The programs of docs/producing.md, as they stand there, against the real stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster import ROOT, Cluster
from tests.conftest import People
from verify.compare import compare

PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def output_of(program: str, folder: Path, cluster: Cluster, **more: str) -> str:
    environment = {**os.environ, **more, "KAFKA": cluster.settings.bootstrap, "SLUICE_PREFIX": cluster.settings.prefix}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
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


def test_the_programs_of_the_page_on_signing_do_what_it_says(cluster: Cluster, people: People, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(people(1_000).read_bytes())
    wanted = {"name": "crm", "organisation": "acme", "role": "operator", "kind": "service"}
    key = cluster.call("POST", "/v1/keys", json=wanted)["key"]
    helped, plain = PROGRAM.findall((ROOT / "docs" / "signing.md").read_text(encoding="utf-8"))
    job_id = output_of(plain, tmp_path, cluster, SLUICE_KEY=key)
    path = f"/v1/jobs/{job_id}"
    cluster.wait(lambda: cluster.request("GET", path).json().get("ended"), 60, "the job of the plain program has ended")
    assert {entry["by"] for entry in cluster.history(job_id) if entry["by"]} == {"crm"}
    job_id = output_of(helped, tmp_path, cluster, SLUICE_KEY=key, PYTHONPATH=str(ROOT))
    job = cluster.wait_state(job_id, "COMPLETED")
    assert job["progress"]["rows_applied"] == 1_000 and job["created_by"] == "crm"
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
