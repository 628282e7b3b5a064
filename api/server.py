"""Runs the API: ``python -m api.server``."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

from api.app import create_app
from api.web.connection_timeouts import Limits
from api.web.connections import BoundedConfig, BoundedServer
from runtime.datasets import require_datasets
from runtime.logs import configure_logging
from runtime.privacy import keep_files_private
from runtime.settings import Settings, settings

_NOT_STARTED = 3
"""Exit code, as uvicorn's own."""
_FILES_BESIDE = 512
"""Open files besides those of the clients' connections: connections to Kafka and Elasticsearch, logs, libraries."""


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
            ssl_certfile=chosen.api_tls_cert_file,
            ssl_keyfile=chosen.api_tls_key_file,
        )
    )


def main() -> None:
    """Serve until a signal stops the process."""
    chosen = settings()
    keep_files_private(chosen.home)
    configure_logging(chosen)
    require_datasets(chosen.datasets_folder)
    _allow_files(2 * chosen.api_connections + _FILES_BESIDE)
    running = server(chosen)
    with suppress(KeyboardInterrupt):
        running.run()
    if not running.started:
        sys.exit(_NOT_STARTED)


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files to `wanted`, where the system allows it: each connection may write a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
