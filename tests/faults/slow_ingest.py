"""`python -m tests.faults.slow_ingest`: a reader that takes its time, so that much can happen before it is through."""

from __future__ import annotations

import time

from ingest.__main__ import main
from ingest.plan_run import PlanRun

STEP_SECONDS = 0.1


def start() -> None:
    step = PlanRun.step

    def slow(self: PlanRun) -> bool:
        time.sleep(STEP_SECONDS)
        return step(self)

    PlanRun.step = slow  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    start()
