"""Tuned bulk requests over one or several connections: of lines that are ready, or made from the CSV on the way."""

from __future__ import annotations

import csv
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from elasticsearch import Elasticsearch

from bench.peers.protocol import PeerRun, Request, documents, serve

REQUEST_ROWS = 5000


def main(connections: int, made: str) -> None:
    """Serve runs over so many connections; `made`: "ready" (lines are made before) or "csv" (on the way)."""

    def prepare(request: Request) -> PeerRun:
        client = Elasticsearch(request["elasticsearch"], connections_per_node=connections)
        batches = iter(list(_batches(request))) if made == "ready" else _batches(request)
        taking = threading.Lock()

        def send() -> None:
            while True:
                with taking:  # one thread at a time reads the file
                    lines = next(batches, None)
                if lines is None:
                    return
                operations: Any = lines
                assert not client.bulk(index=request["index"], operations=operations, filter_path="errors")["errors"]

        def work() -> None:
            with ThreadPoolExecutor(connections) as pool:
                for done in [pool.submit(send) for _ in range(connections)]:
                    done.result()
            client.close()

        return work

    serve(prepare)


def _batches(request: Request) -> Iterator[list[bytes]]:
    with Path(request["file"]).open(encoding="utf-8", newline="") as file:
        rows = iter(enumerate(csv.DictReader(file), start=1))
        made = documents(request, rows)
        while pairs := list(islice(made, REQUEST_ROWS)):
            yield [b'{"create":{"_id":"%b"}}\n%b' % (name.encode(), orjson.dumps(document)) for name, document in pairs]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
