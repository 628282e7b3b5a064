"""A worker whose bulk requests are answered at once, with no Elasticsearch behind them. For measurements alone."""

from __future__ import annotations

from collections.abc import Sequence

from processor.__main__ import main
from processor.elastic import bulk
from processor.elastic.answers import DONE, Answer
from processor.elastic.bulk import Gate


async def _send(self: bulk.BulkSink, items: Sequence[bytes], gate: Gate, index: str | None = None) -> list[Answer]:
    gate()
    return [DONE] * len(items)


if __name__ == "__main__":
    bulk.BulkSink.send = _send  # type: ignore[method-assign]
    main()
