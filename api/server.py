"""Runs the API: ``python -m api.server``."""

from __future__ import annotations

if __name__ == "__main__":
    from runtime.text.interrupts import end_when_interrupted

    end_when_interrupted()  # before anything else is imported

import resource
from contextlib import suppress
from typing import TYPE_CHECKING

from runtime.process import CannotStartError, collect_seldom, end_soon, run

if TYPE_CHECKING:
    from api.web.connections import BoundedServer
    from runtime.readiness import Readiness
    from runtime.settings import Settings

_FILES_BESIDE = 512
"""Open files besides those of the clients' connections: connections to Kafka and Elasticsearch, logs, libraries."""


def server(chosen: Settings, readiness: Readiness | None = None) -> BoundedServer:
    """The server, not yet running.

    Raises:
        CannotStartError, DatasetError, StorageError, KafkaException: the settings do not fit.
    """
    from api.app import create_app
    from api.web.connection_timeouts import Limits
    from api.web.connections import BoundedConfig, BoundedServer

    return BoundedServer(
        BoundedConfig(
            create_app(chosen, readiness),
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


def work(chosen: Settings) -> int:
    """Serve until a signal stops the process; answers the exit code.

    Raises:
        CannotStartError, DatasetError, StorageError, KafkaException: it could not begin.
    """
    from runtime.datasets import require_datasets
    from runtime.readiness import Readiness

    readiness = Readiness(chosen)
    collect_seldom()
    require_datasets(chosen.datasets_folder)
    _allow_files(2 * chosen.api_connections + _FILES_BESIDE)
    running = server(chosen, readiness)

    def stopping() -> None:
        readiness.clear()  # now: uvicorn ends with the signal once it has stopped
        end_soon()

    running.stopping = stopping
    with suppress(KeyboardInterrupt, SystemExit):
        running.run()
    readiness.clear()
    if not running.started:
        raise CannotStartError("it could not begin to serve; the lines above say why")
    return 0


def main() -> None:
    """Serve, and end the process."""
    run("the API", "api", work)


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
