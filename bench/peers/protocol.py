"""How a peer's program talks to the bench: JSON lines on standard input and output, one run after the other.

The program says ``{"ready": true}`` once. Each run is a request line, answered by ``{"prepared": true}``; then a line
``go``, answered by ``{"seconds": S}`` when Elasticsearch has confirmed every row. An error is ``{"error": "..."}``.
This module imports the standard library alone: it runs in the environments of all peers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Request = dict[str, Any]
"""The fields of a run's request: ``job_id``, ``organisation``, ``rows``, ``file``, ``index``, ``elasticsearch`` (a
URL), ``kafka`` (host:port), ``topic``, ``scratch`` (a folder)."""
PeerRun = Callable[[], float | None]
"""Does the run; returns its seconds where the program itself knows when it began, else None."""


def serve(prepare: Callable[[Request], PeerRun]) -> None:
    """Answer requests until standard input ends. `prepare` does what is not measured, and returns what is."""
    # Whatever else writes to standard output goes to the log instead.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**content: object) -> None:
        print(json.dumps(content), file=answers, flush=True)

    answer(ready=True)
    for line in sys.stdin:
        try:
            work = prepare(json.loads(line))
            answer(prepared=True)
            if not sys.stdin.readline():
                return
            began = time.perf_counter()
            seconds = work()
            answer(seconds=time.perf_counter() - began if seconds is None else seconds)
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}"[:500])


def documents(request: Request, numbered_rows: Iterator[tuple[int, dict[str, str]]]) -> Iterator[tuple[str, Any]]:
    """Each row as the document that Sluice would write of it, with its id."""
    job_id, organisation = request["job_id"], request["organisation"]
    for number, row in numbered_rows:
        sluice = {"job_id": job_id, "row_number": number, "organisation": organisation}
        yield f"{job_id}:{number}", {**row, "sluice": sluice}
