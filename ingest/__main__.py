"""`python -m ingest`: one reader. Several may run; they share the plans."""

from __future__ import annotations

import logging
import signal
import sys

from ingest.errors import PublishError
from ingest.inbox.inbox import InboxThread
from ingest.reader import Reader
from runtime.datasets import require_datasets
from runtime.logs import configure_logging
from runtime.privacy import keep_files_private
from runtime.settings import settings


def main() -> int:
    """Run a reader until SIGTERM or SIGINT; answers the exit code."""
    keep_files_private(settings().home)
    configure_logging(settings())
    require_datasets(settings().datasets_folder)
    stop = False

    def on_signal(_number: int, _frame: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    inbox = InboxThread(settings(), lambda: stop)
    inbox.start()
    try:
        Reader(settings(), lambda: stop or inbox.failed).run()
    except PublishError as error:
        logging.getLogger("ingest").critical("the reader ends and must be started again: %s", error)
        return 1
    finally:
        stop = True
        inbox.join()
    return 1 if inbox.failed else 0


if __name__ == "__main__":
    sys.exit(main())
