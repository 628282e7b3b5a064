"""The one loop that reads a multipart body: each part goes to a sink as it comes. Files are sinks as well.

Starlette's own MultiPartParser is no help: it writes each file to a temporary one of its own before anybody sees a byte
of it, so a wrong header would cost the whole upload, and a right file would be written twice.
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
"""Of a web page's form."""
_DRAIN_BYTES: Final = 32 * 1024 * 1024
_DRAIN_SECONDS: Final = 5.0


class Part(Protocol):
    """Takes what comes of one part. Either method may refuse the whole body by raising ApiError."""

    async def take(self, data: bytes) -> None:
        """More of it."""

    async def end(self) -> None:
        """It is complete."""


Begin = Callable[[str, str | None], Part]
"""Called when a part begins, with its name and the file name it gives; raises ApiError to refuse the body."""


class TextPart:
    """A part that is held in memory, and so may not be long."""

    def __init__(self, name: str, whole: Callable[[bytes], None], most: int = MOST_JSON_BYTES) -> None:
        """`whole` is called with all of it; it raises ApiError to refuse the body. It may have `most` bytes."""
        self._name = name
        self._whole = whole
        self._most = most
        self._data = bytearray()

    async def take(self, data: bytes) -> None:
        """More of it."""
        self._data += data
        if len(self._data) > self._most:
            raise ApiError(
                413,
                f"with the part {self._name[:80]!r} the body's texts are larger than {MOST_JSON_BYTES} bytes; "
                f"only the file may be large",
            )

    async def end(self) -> None:
        """It is complete."""
        self._whole(bytes(self._data))


async def receive_parts(body: AsyncIterator[bytes], boundary: bytes, begin: Begin) -> None:
    """Read a multipart body to its end, part by part.

    Raises:
        ApiError: 400, the body is not what it should be, or broke off; and whatever its parts raise.
    """
    reader = FormReader(boundary)
    part: Part | None = None
    async with _heard_out(body):
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
    """Read a body that is nothing but a file. Raises as `receive_parts`."""
    async with _heard_out(body):
        async for chunk in body:
            await part.take(chunk)
        await part.end()


@asynccontextmanager
async def _heard_out(body: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """Read on for a while after a refusal: a client that is still sending when the connection closes may never see the
    answer.
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
