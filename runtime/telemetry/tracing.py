"""Traces with OpenTelemetry: from a request to the API through Kafka to the bulk request that carries it out.

They need the extra `tracing`, and OpenTelemetry's own variable OTEL_EXPORTER_OTLP_ENDPOINT, which says where they go.
Without it nothing is recorded, and nothing of OpenTelemetry imported. The context goes through Kafka in the header
``traceparent``, in the form of W3C Trace Context.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from runtime.process import CannotStartError, at_end
from runtime.version import VERSION

HEADER: Final = "traceparent"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_MS: Final = 2000

_tracer: Any = None


def configure_tracing(role: str) -> None:
    """Begin to record, if the environment says where spans go.

    Raises:
        CannotStartError: it does, and the extra is not installed.
    """
    global _tracer
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if endpoint is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise CannotStartError(
            f"{endpoint} is set, and the package {error.name} is not installed: pip install 'sluice[tracing]' brings it"
        ) from error
    resource = Resource.create({"service.name": f"sluice-{role}", "service.version": VERSION})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    at_end.append(lambda: provider.force_flush(_FLUSH_MS))
    _tracer = provider.get_tracer("sluice", VERSION)


class Span:
    """A stretch of work, which may be left and entered again."""

    __slots__ = ("_span",)

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @contextmanager
    def current(self) -> Iterator[None]:
        """What is done meanwhile belongs to it: spans that are begun, and records that are written."""
        if self._span is None:
            yield
            return
        from opentelemetry.trace import use_span

        with use_span(self._span, end_on_exit=False):
            yield

    def end(self, **attributes: Any) -> None:
        """End the span."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))
            self._span.end()


_NOTHING: Final = Span()


def begin(name: str, parent: str | None = None, **attributes: Any) -> Span:
    """Begin a span under `parent`, a ``traceparent``, or under the one that is current."""
    if _tracer is None:
        return _NOTHING
    return Span(_tracer.start_span(name, context=_context(parent), attributes=_named(attributes)))


@contextmanager
def span(name: str, parent: str | None = None, **attributes: Any) -> Iterator[None]:
    """A span for what is done in the block."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, context=_context(parent), attributes=_named(attributes)):
        yield


def trace_headers() -> list[tuple[str, bytes]]:
    """The header with which a record belongs to the current span."""
    if _tracer is None:
        return []
    from opentelemetry.trace import get_current_span

    known = get_current_span().get_span_context()
    if not known.is_valid:
        return []
    return [(HEADER, f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}".encode())]


def parent_in(headers: object) -> str | None:
    """The ``traceparent`` of a record with these headers, as confluent-kafka or aiokafka give them."""
    if _tracer is None or not isinstance(headers, list | tuple):
        return None
    for name, value in headers:
        if name == HEADER and isinstance(value, bytes) and len(value) < 100:
            return value.decode("latin-1")
    return None


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent})


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"sluice.{name}": value for name, value in attributes.items() if value is not None}
