"""`sluice demo`: uploads a CSV file through Kafka and a worker into Elasticsearch, and pauses and resumes the job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from client.requests.acting import pause, resume
from commandline.connection import Api
from commandline.following import follow
from commandline.view.output import live
from devstack.layout import Layout
from devstack.lifecycle.shutdown import down
from devstack.lifecycle.startup import up
from runtime.network.urls import without_password
from runtime.settings import Settings, settings
from runtime.text.remarks import Remarks
from schemas.indices import data_index
from verify.compare import compare

ROWS = 100_000
SEED = 7
PAUSE_AT = 0.4
"""The share of the rows after which the job is paused."""

console = Remarks(highlight=False, soft_wrap=True)


def run(exit_at_end: bool) -> int:
    """Run the demo; returns 0 if every row arrived as it is in the file, 1 if not.

    `exit_at_end` stops what the demo has started; a stack that ran before goes on.

    Raises:
        StackError: the local stack can't be started.
    """
    config = settings()
    step("Starting Kafka, Elasticsearch, the API, a reader and a worker")
    started = up(config, detach=True)
    try:
        return _show(config)
    finally:
        if exit_at_end and started:
            step("Stopping everything")
            down(config)


def step(text: str) -> None:
    """Print a line that names the next step."""
    console.print(f"\n[bold cyan]▸[/] [bold]{text}[/]")


def _show(config: Settings) -> int:
    file = _sample(config)
    api = Api()
    step(f"Uploading {file.name}, {file.stat().st_size / 1e6:.1f} MB: POST {config.api}/v1/jobs")
    began = time.monotonic()
    # The demo may be shown again on the same stack, with the same file.
    asked = {"operation": "upload", "dataset": "people", "organisation": "demo", "options": {"if_same": "allow"}}
    job = api.send_file(file, asked, None)
    console.print(f"  job [bold]{job['id']}[/]")
    paused_seconds = _watch(api, job["id"])
    took = time.monotonic() - began - paused_seconds
    job = api.job(job["id"])
    done = job["progress"]["rows_applied"]
    console.print(
        f"  {job['state']}: {done:,} rows in {took:.1f} s, {done / took:,.0f} rows a second, pause not counted"
    )
    step("Comparing every document in Elasticsearch with its row in the file")
    verdict = compare(config, job["id"], "people", file)
    console.print(f"  {verdict}")
    if not verdict.holds or job["state"] != "COMPLETED":
        console.print("  [bold red]Rows are missing or wrong.[/]")
        return 1
    console.print("  [bold green]Every row is there, once, as it is in the file.[/]")
    _where_to_look(config, job)
    return 0


def _sample(config: Settings) -> Path:
    from sample_csv.cli import sample
    from sample_csv.datasets import Dataset

    file = Layout.of(config).home / "demo" / "people.csv"
    step(f"Making {ROWS:,} people")
    file.parent.mkdir(parents=True, exist_ok=True)
    sample(Dataset("people"), ROWS, file, SEED)
    return file


def _watch(api: Api, job_id: str) -> float:
    """Follow the job to its end, and pause it once; returns the seconds it was paused."""
    paused_seconds: float | None = None
    with live(quiet=False) as (show, remark):
        for job in follow(api, job_id, remark):
            show(job)
            progress = job["progress"]
            enough = progress["rows_applied"] >= PAUSE_AT * ROWS
            if paused_seconds is None and job["state"] == "RUNNING" and enough:
                paused_seconds = _pause_and_resume(api, job_id, remark)
    return paused_seconds or 0.0


def _pause_and_resume(api: Api, job_id: str, remark: Any) -> float:
    began = time.monotonic()
    paused = api.json(pause(job_id, reason="to show a pause", wait=30))
    if paused["state"] != "PAUSED":
        return 0.0  # the job ended before the pause
    took = (time.monotonic() - began) * 1000
    stopped = sum(lane["applied_rows"] for lane in paused["lanes"])
    remark(f"  paused in {took:.0f} ms: every lane has proved that it stopped, {stopped:,} rows are written")
    time.sleep(2)  # time to see that nothing changes
    still = sum(lane["applied_rows"] for lane in api.job(job_id)["lanes"])
    remark(f"  two seconds later: {still:,} rows; resuming from the checkpoint")
    api.json(resume(job_id, reason="to show a resume", wait=10))
    return time.monotonic() - began


def _where_to_look(config: Settings, job: dict[str, Any]) -> None:
    step("Where to look")
    job_id = job["id"]
    lines = {
        f"{config.api}/": "the jobs, as a page",
        f"{config.api}/v1/jobs/{job_id}": "this job, as JSON",
        f"{without_password(config.elasticsearch)}/{data_index(config.prefix, 'people')}/_search": "its rows",
        f"./sluice history {job_id}": "who did what, and when",
        f"./sluice rollback {job_id}": "takes its rows out again",
        "./sluice down": "stops everything; the data stays",
    }
    columns = max(map(len, lines))
    for where, what in lines.items():
        # An address that does not fit beside its words stands on a line of its own, to be copied.
        beside = console.width >= columns + 50
        console.print(f"  {where:<{columns}}  {what}" if beside else f"  {what}:\n    {where}", markup=False)
