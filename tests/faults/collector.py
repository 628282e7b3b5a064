"""A collector of traces: OpenTelemetry's protocol over HTTP, as processes send it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Collected:
    """What has come."""

    url: str
    spans: set[tuple[str, str, str]] = field(default_factory=set)
    """Trace id, service, name of the span."""

    def of(self, trace: str) -> set[tuple[str, str]]:
        """The services and names of a trace's spans."""
        return {(service, name) for found, service, name in set(self.spans) if found == trace}


@contextmanager
def collector() -> Iterator[Collected]:
    """One, for as long as the context is open."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {one.key: one.value.string_value for one in sent.resource.attributes}
                for scope in sent.scope_spans:
                    for span in scope.spans:
                        collected.spans.add((span.trace_id.hex(), named["service.name"], span.name))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected = Collected(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collected
    finally:
        server.shutdown()
