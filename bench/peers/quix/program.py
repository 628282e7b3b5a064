"""Quix Streams from a topic to its Elasticsearch sink, with the defaults of both: single rows, or blocks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from elasticsearch import Elasticsearch
from quixstreams import Application
from quixstreams.sinks.community.elasticsearch import ElasticsearchSink

from bench.peers.protocol import PeerRun, Request, serve


class TimedSink(ElasticsearchSink):  # type: ignore[misc]  # the package has no types
    """The sink, and when it has written last."""

    written_at = 0.0
    written = 0

    def setup(self) -> None:
        """See BaseSink. The stack's Elasticsearch has no `GET /`, which the sink asks for; the index is there."""
        self._client = Elasticsearch(**self._client_kwargs)

    def write(self, batch: Any) -> None:
        """See BatchingSink."""
        super().write(batch)
        self.written += batch.size
        self.written_at = time.perf_counter()


def main(kind: str) -> None:
    """Serve runs; `kind`: "rows" (a record a row, as services produce them to Sluice's inbox) or "blocks"."""

    def prepare(request: Request) -> PeerRun:
        return lambda: _run(request, _rows_of_block if kind == "blocks" else _row)

    serve(prepare)


def _run(request: Request, documents: Callable[[Request, Any], Any]) -> float:
    app = Application(
        broker_address=request["kafka"],
        consumer_group=request["job_id"],
        auto_offset_reset="earliest",
        loglevel="WARNING",
        auto_create_topics=False,
        state_dir=request["scratch"],
    )
    sink = TimedSink(
        url=request["elasticsearch"],
        index=request["index"],
        document_id_setter=lambda item: f"{request['job_id']}:{item.value['sluice']['row_number']}",
    )
    began: list[float] = []

    def document(value: Any) -> Any:
        if not began:
            began.append(time.perf_counter())
        return documents(request, value)

    frame = app.dataframe(app.topic(request["topic"], value_deserializer="json"))
    frame = frame.apply(document, expand=documents is _rows_of_block)
    frame.sink(sink)
    app.run(count=request["rows"], collect=False)
    assert sink.written == request["rows"], sink.written
    return sink.written_at - began[0]


def _row(request: Request, value: Any) -> Any:
    return {**value["values"], "sluice": _sluice(request, value["row"])}


def _rows_of_block(request: Request, block: Any) -> Any:
    return [
        {**dict(zip(block["columns"], row, strict=True)), "sluice": _sluice(request, number)}
        for number, row in enumerate(block["rows"], start=block["first_row"])
    ]


def _sluice(request: Request, number: int) -> dict[str, Any]:
    return {"job_id": request["job_id"], "row_number": number, "organisation": request["organisation"]}


if __name__ == "__main__":
    main(sys.argv[1])
