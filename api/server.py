"""Runs the API: ``python -m api.server``."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

from api.app import create_app
from api.web.connections import BoundedConfig, BoundedServer
from api.web.patience import Limits
from runtime.datasets import require_datasets
from runtime.logs import configure_logging
from runtime.settings import Settings, settings

_NOT_STARTED = 3
"""Exit code, as uvicorn's own."""
_FILES_BESIDE = 512
"""Open files besides those of connections: to Kafka and Elasticsearch, logs, libraries."""


def server(chosen: Settings) -> BoundedServer:
    """The server, not yet running."""
    return BoundedServer(
        BoundedConfig(
            create_app(chosen),
            Limits.of(chosen),
            host=chosen.api_host,
            port=chosen.api_port,
            loop="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=30,
        )
    )


def main() -> None:
    """Serve until told to stop."""
    chosen = settings()
    configure_logging(chosen)
    require_datasets(chosen.datasets_folder)
    _allow_files(2 * chosen.api_connections + _FILES_BESIDE)
    running = server(chosen)
    with suppress(KeyboardInterrupt):
        running.run()
    if not running.started:
        sys.exit(_NOT_STARTED)


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files so far: a connection may write a file. Where it can't be, it stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
