"""Sends the rows of a file to Celery's workers, 500 a task, and waits for all results."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from bench.peers.protocol import PeerRun, Request, documents, serve

CHUNK_ROWS = 500
PROCESSES = 2
START_SECONDS = 60.0
MODULE = "bench.peers.celery.tasks"


def main(redis: str, port: int, folder: str) -> None:
    """Start Redis and a Celery worker of two processes, and serve runs."""
    os.environ["BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
    server = subprocess.Popen(
        [redis, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"],
        stdout=sys.stderr,
    )
    worker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            MODULE,
            "worker",
            "--concurrency",
            str(PROCESSES),
            "--loglevel",
            "WARNING",
        ],
        stdout=sys.stderr,
    )
    try:
        from bench.peers.celery.tasks import app

        deadline = time.monotonic() + START_SECONDS
        while not _answers(app) and time.monotonic() < deadline:
            assert server.poll() is None and worker.poll() is None, "Redis or the Celery worker ended; see the log"
        serve(prepare)
    finally:
        for process in (worker, server):
            process.terminate()
            process.wait(20)


def prepare(request: Request) -> PeerRun:
    """See PeerRun."""
    from celery.result import ResultSet

    from bench.peers.celery.tasks import write

    def work() -> None:
        with Path(request["file"]).open(encoding="utf-8", newline="") as file:
            made = documents(request, iter(enumerate(csv.DictReader(file), start=1)))
            sent = ResultSet([])
            while chunk := list(islice(made, CHUNK_ROWS)):
                sent.add(write.delay(request["elasticsearch"], request["index"], chunk))
            written = sum(sent.join(timeout=600))
            assert written == request["rows"], written

    return work


def _answers(app: object) -> bool:
    try:
        return bool(app.control.ping(timeout=1))  # type: ignore[attr-defined]
    except Exception:
        time.sleep(0.2)
        return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
