"""`python -m ingest`: one reader. Several may run; they share the plans."""

from __future__ import annotations

if __name__ == "__main__":
    from runtime.text.interrupts import end_when_interrupted

    end_when_interrupted()  # before anything else is imported

import logging
from typing import TYPE_CHECKING

from runtime.process import handle_signals, run

if TYPE_CHECKING:  # nothing is imported before signals count
    from runtime.settings import Settings


def work(config: Settings) -> int:
    """Run a reader until SIGTERM or SIGINT; answers the exit code.

    Raises:
        CannotStartError, DatasetError: starting it again does not help.
    """
    from ingest.errors import PublishError
    from ingest.inbox.inbox import InboxThread
    from ingest.metrics import ReaderMetrics
    from ingest.reader import Reader
    from runtime.datasets import require_datasets
    from runtime.files.shared_folder import wait_for_shared_folder
    from runtime.readiness import Readiness
    from runtime.telemetry.exporter import serve

    readiness = Readiness(config)
    require_datasets(config.datasets_folder)
    stop = False

    def stopping() -> None:
        nonlocal stop
        stop = True

    handle_signals(stopping)
    metrics = ReaderMetrics(lambda: readiness.ready)
    serve(config, metrics.registry, lambda: readiness.ready)
    wait_for_shared_folder(config.storage_root, lambda: stop)
    inbox = InboxThread(config, lambda: stop, metrics)
    inbox.start()
    try:
        Reader(config, lambda: stop or inbox.failed, readiness, metrics).run()
    except PublishError as error:
        logging.getLogger("ingest").critical("the reader ends and must be started again: %s", error)
        return 1
    finally:
        stop = True
        inbox.join()
        readiness.clear()
    return 1 if inbox.failed else 0


def main() -> None:
    """Run a reader, and end the process."""
    run("the reader", "ingest", work)


if __name__ == "__main__":
    main()
