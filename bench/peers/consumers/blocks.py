"""Blocks of rows (topic of Sluice's `RowBlock`s, as JSON) as bulk lines."""

from __future__ import annotations

import orjson

from bench.peers.protocol import Request

REQUEST_BLOCKS = 5
REQUESTS_AT_ONCE = 2


def lines(request: Request, values: list[bytes]) -> list[bytes]:
    """The action and the document of each row of some blocks; the request names the index."""
    job_id, organisation = request["job_id"], request["organisation"]
    made = []
    for value in values:
        block = orjson.loads(value)
        columns = block["columns"]
        for number, row in enumerate(block["rows"], start=block["first_row"]):
            document = dict(zip(columns, row, strict=True))
            document["sluice"] = {"job_id": job_id, "row_number": number, "organisation": organisation}
            action = b'{"create":{"_id":"%b:%d"}}\n' % (job_id.encode(), number)
            made.append(action + orjson.dumps(document))
    return made
