"""What lies between an operation and the documents of a trial: it sees each request, and can break off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from elastic_transport import ObjectApiResponse

from extensions.testing.memory import read_lines
from processor.errors import FencedError


class CrashError(BaseException):
    """The worker is gone: nothing that an operation could catch."""


@dataclass(slots=True)
class Wire:
    """What goes out in one call of an operation."""

    dies_after: int | None = None
    """The worker dies once this many bulk items are done; None: it does not."""
    closes_after: int | None = None
    """How many requests the gate lets out; None: all."""
    items: int = 0
    """Bulk items that are done."""
    asked: int = 0
    """How often the gate was open when it was asked."""
    refused: str | None = None
    """What was wrong with a request."""
    _open: bool = False

    def gate(self) -> None:
        """The gate of the work."""
        if self.asked == self.closes_after:
            raise FencedError
        self.asked += 1
        self._open = True

    def pass_on(self, name: str) -> None:
        """A request is about to go out."""
        if not self._open:
            self.refused = (
                f"the request {name} goes out and the gate was not asked right before: use work.send, work.find or "
                f"work.sink.ask"
            )
            raise CrashError
        self._open = False

    async def bulk(self, client: Any, operations: bytes, more: dict[str, Any]) -> ObjectApiResponse[Any]:
        """A bulk request, of which perhaps only the first items are done."""
        self.pass_on("bulk")
        items = list(read_lines(operations))
        left = len(items) if self.dies_after is None else self.dies_after - self.items
        some = items[:left]
        answer = None
        if some:
            body = b"\n".join(_line(*item) for item in some) + b"\n"
            answer = await client.bulk(operations=body, **more)
            self.items += len(some)
        if len(some) < len(items) or answer is None:
            raise CrashError
        return answer  # type: ignore[no-any-return]


class WatchedClient:
    """A client of Elasticsearch, or a part of one, whose requests go over a wire."""

    def __init__(self, inner: Any, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire

    @property
    def indices(self) -> WatchedClient:
        """The requests about indices."""
        return WatchedClient(self._inner.indices, self._wire)

    def options(self, **more: Any) -> WatchedClient:
        """The same client with other options."""
        return WatchedClient(self._inner.options(**more), self._wire)

    async def bulk(self, *, operations: bytes, **more: Any) -> ObjectApiResponse[Any]:
        """See Wire."""
        return await self._wire.bulk(self._inner, operations, more)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def over_the_wire(*arguments: Any, **more: Any) -> Any:
            self._wire.pass_on(name)
            return await method(*arguments, **more)

        return over_the_wire


def _line(action: str, head: dict[str, Any], document: Any) -> bytes:
    lines = [{action: head}] if document is None else [{action: head}, document]
    return b"\n".join(map(msgspec.json.encode, lines))
