"""Answers Prometheus, and probes, on a port of its own: ``/metrics``, ``/readyz`` and ``/healthz``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

from runtime.network.urls import is_ipv6
from runtime.process import CannotStartError
from runtime.settings import Settings

_SECONDS: Final = 10.0
"""The exporter cuts a client off that sends nothing for this long."""

_LOOK_SECONDS: Final = 3600.0
"""Between looks whether the server is to stop, which it never is: its thread ends with the process."""


def serve(settings: Settings, registry: CollectorRegistry, ready: Callable[[], bool]) -> int | None:
    """Answer from a thread, if the settings name a port; answers the port. `ready`: whether the process does its work.

    Raises:
        CannotStartError: the port is taken, or the address is not this machine's.
    """
    if settings.metrics_port is None:
        return None

    class Handler(MetricsHandler):
        timeout = _SECONDS
        server_version = "sluice"
        sys_version = ""

        def do_GET(self) -> None:  # noqa: N802
            match self.path.partition("?")[0]:
                case "/metrics":
                    super().do_GET()
                case "/readyz":
                    self._answer(*((200, b"ready\n") if ready() else (503, b"not ready\n")))
                case "/healthz":
                    self._answer(200, b"it runs\n")
                case _:
                    self._answer(404, b"there are /metrics, /readyz and /healthz\n")

        def _answer(self, code: int, text: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    Handler.registry = registry
    try:
        server = _Server(settings.metrics_host, settings.metrics_port, Handler)
    except OSError as error:
        raise CannotStartError(
            f"SLUICE_METRICS_PORT {settings.metrics_port} at {settings.metrics_host} can't be listened on "
            f"({error.strerror or error}): each process of one machine needs a port of its own"
        ) from error
    serving = partial(server.serve_forever, poll_interval=_LOOK_SECONDS)
    threading.Thread(target=serving, name="metrics", daemon=True).start()
    return server.server_port


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[MetricsHandler]) -> None:
        self.address_family = socket.AF_INET6 if is_ipv6(host) else socket.AF_INET
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """Without the lookup of the machine's own name, which may take seconds."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
