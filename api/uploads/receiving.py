"""The one loop that reads a multipart body and hands each part to a sink, chunk by chunk, files included.

Starlette's own MultiPartParser does not fit: it writes each file to a temporary file before the route sees a byte of
it. A wrong header would be refused only after the whole upload, and a right file would be written twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from starlette.requests import ClientDisconnect

from api.errors import ApiError, invalid
from api.uploads.multipart import FormReader, PartBegan, PartData, PartEnded, broken_off

MOST_JSON_BYTES: Final = 64 * 1024
MOST_FIELDS: Final = 100
"""Fields in a form of the page, at most."""
_DRAIN_BYTES: Final = 32 * 1024 * 1024
_DRAIN_SECONDS: Final = 5.0


class Part(Protocol):
    """The sink of one part. Either method may refuse the whole body by raising ApiError."""

    async def take(self, data: bytes) -> None:
        """Take the next bytes of the part."""

    async def end(self) -> None:
        """The part is complete."""


Begin = Callable[[str, str | None], Part]
"""Called when a part begins, with its name and the file name it gives; raises ApiError to refuse the body."""


class TextPart:
    """A short part, which is kept in memory."""

    def __init__(self, name: str, whole: Callable[[bytes], None], most: int = MOST_JSON_BYTES) -> None:
        """`whole` is called with the complete part, of at most `most` bytes; it raises ApiError to refuse the body."""
        self._name = name
        self._whole = whole
        self._most = most
        self._data = bytearray()

    async def take(self, data: bytes) -> None:
        """Take the next bytes of the part."""
        self._data += data
        if len(self._data) > self._most:
            raise ApiError(
                413,
                f"with the part {self._name[:80]!r} the body's texts are larger than {MOST_JSON_BYTES} bytes; "
                f"only the file may be large",
            )

    async def end(self) -> None:
        """The part is complete."""
        self._whole(bytes(self._data))


async def receive_parts(body: AsyncIterator[bytes], boundary: bytes, begin: Begin) -> None:
    """Read a multipart body to its end, part by part.

    Raises:
        ApiError: 400, the body is malformed, or broke off; and what its parts raise.
    """
    reader = FormReader(boundary)
    part: Part | None = None
    async with _drained_after_refusal(body):
        async for chunk in body:
            for event in reader.feed(chunk):
                match event:
                    case PartBegan(name, filename):
                        part = begin(name, filename)
                    case PartData(data) if part is not None:
                        await part.take(data)
                    case PartEnded() if part is not None:
                        await part.end()
        reader.close()


async def receive_whole(body: AsyncIterator[bytes], part: Part) -> None:
    """Read a body that consists of a file alone. Raises as `receive_parts`."""
    async with _drained_after_refusal(body):
        async for chunk in body:
            await part.take(chunk)
        await part.end()


@asynccontextmanager
async def _drained_after_refusal(body: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """After a refusal read on for up to five seconds: a client that is still sending when the connection closes may
    never see the answer.
    """
    try:
        yield
    except ClientDisconnect as gone:
        raise broken_off() from gone
    except ApiError:
        await _drain(body)
        raise


async def _drain(body: AsyncIterator[bytes]) -> None:
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def no_file_chosen() -> ApiError:
    """400: a web page's form came without its file."""
    return invalid("no file was chosen; choose the CSV file to send")
