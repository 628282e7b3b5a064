"""The bulk helpers of Elasticsearch's Python client, with their defaults: `streaming_bulk` or `parallel_bulk`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk, streaming_bulk

from bench.peers.protocol import PeerRun, Request, documents, serve

HELPERS = {"streaming_bulk": streaming_bulk, "parallel_bulk": parallel_bulk}


def main(name: str) -> None:
    """Serve runs of the helper named."""
    helper: Any = HELPERS[name]

    def prepare(request: Request) -> PeerRun:
        client = Elasticsearch(request["elasticsearch"])

        def work() -> None:
            for ok, item in helper(client, _actions(request)):
                assert ok, item
            client.close()

        return work

    serve(prepare)


def _actions(request: Request) -> Iterator[dict[str, Any]]:
    with Path(request["file"]).open(encoding="utf-8", newline="") as file:
        for name, document in documents(request, iter(enumerate(csv.DictReader(file), start=1))):
            yield {"_op_type": "create", "_index": request["index"], "_id": name, "_source": document}


if __name__ == "__main__":
    main(sys.argv[1])
