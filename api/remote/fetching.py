"""Fetches a file from its address into a sink, within bounds of time, size and number."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from starlette.requests import Request

from api.errors import ApiError, unavailable
from api.outgoing.lookups import Lookups
from api.remote.bucket import read_bucket
from api.remote.web import read_web, too_large
from api.uploads.file_readers import disconnected
from api.uploads.multipart import broken_off
from api.uploads.receiving import Part
from runtime.network.addresses import Address
from runtime.settings import Settings

_AT_ONCE: Final = 8
_OF_ONE_ORGANISATION: Final = 2


class Fetches:
    """The fetches of one process. A slow source holds a connection and none of the threads."""

    def __init__(self, lookups: Lookups, quiet_seconds: float = 60.0) -> None:
        """`quiet_seconds`: longest pause of a source."""
        self._lookups = lookups
        self._quiet_seconds = quiet_seconds
        self._running: Counter[str] = Counter()

    async def fetch(
        self, request: Request, address: Address, settings: Settings, organisation: str, sink: Part
    ) -> None:
        """Fetch a whole file, unless the client of `request`, whose body has been read, goes away meanwhile.

        Raises:
            ApiError: 503, too many files are fetched, or the source is too slow; 413, it is too large; as `read_web`
                and `read_bucket`; and what the sink raises.
        """
        with self._place(organisation):
            fetching = asyncio.create_task(self._fetch(address, settings, organisation, sink))
            gone = asyncio.create_task(disconnected(request))
            try:
                both: set[asyncio.Task[Any]] = {fetching, gone}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not fetching.done():
                    raise broken_off()
                await fetching
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)

    async def _fetch(self, address: Address, settings: Settings, organisation: str, sink: Part) -> None:
        if address.scheme == "s3":
            chunks = read_bucket(address, settings)
        else:
            chunks = read_web(address, settings, organisation, self._lookups)
        size = 0
        try:
            async with asyncio.timeout(settings.source_seconds):
                async for chunk in self._lively(chunks, address):
                    size += len(chunk)
                    if size > settings.source_bytes:
                        raise too_large(address, settings.source_bytes)
                    await sink.take(chunk)
                await sink.end()
        except TimeoutError as error:
            text = f"{address.shown} was not read within {settings.source_seconds:g} s (SLUICE_SOURCE_SECONDS)"
            raise unavailable(text) from error

    async def _lively(self, chunks: AsyncIterator[bytes], address: Address) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._quiet_seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                text = f"{address.shown} is not read to its end: it sent nothing for {self._quiet_seconds:g} s"
                raise unavailable(text) from error
            if chunk is None:
                return
            yield chunk

    @contextmanager
    def _place(self, organisation: str) -> Iterator[None]:
        if self._running[organisation] >= _OF_ONE_ORGANISATION or self._running.total() >= _AT_ONCE:
            whose = "this organisation" if self._running[organisation] >= _OF_ONE_ORGANISATION else "all together"
            raise ApiError(
                503,
                f"the API fetches as many files for {whose} as may be at once; try again in a while",
                headers={"Retry-After": "30"},
            )
        self._running[organisation] += 1
        try:
            yield
        finally:
            self._running[organisation] -= 1
            if not self._running[organisation]:
                del self._running[organisation]
