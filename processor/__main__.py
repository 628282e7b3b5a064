"""``python -m processor``: one worker."""

from __future__ import annotations

if __name__ == "__main__":
    from runtime.text.interrupts import end_when_interrupted

    end_when_interrupted()  # before anything else is imported

from typing import TYPE_CHECKING

from runtime.process import run

if TYPE_CHECKING:  # nothing is imported before signals count
    from runtime.settings import Settings


def work(config: Settings) -> int:
    """Run a worker until a signal stops it; answers the exit code."""
    from processor.worker import run_worker

    return run_worker(config)


def main() -> None:
    """Run a worker, and end the process: with 1 after an error, so that its supervisor starts another one."""
    run("the worker", "worker", work)


if __name__ == "__main__":
    main()
