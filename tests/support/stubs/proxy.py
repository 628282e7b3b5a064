"""A proxy before Elasticsearch that, for a test, holds back one bulk request or its answer, or refuses connections."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from tests.support.waiting import PATIENCE

T = TypeVar("T")
Ending = Literal["silence", "504", "reset"]
"""What the sender of a held request gets: no answer, a 504, or a reset connection."""

_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_CONNECTION = re.compile(rb"^connection:.*\r\n", re.IGNORECASE | re.MULTILINE)
_BEGINNING = 1000
"""Bytes of a request that are looked at."""
_GATEWAY_TIMEOUT = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class _Watched:
    pattern: re.Pattern[bytes]
    skipped: int
    do: Callable[[], None]


class Proxy:
    """Forwards one request a connection to the server at `url`. Its methods may be called from any thread."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 80)
        # This socket keeps the port reserved while no server listens on it.
        self._place = _socket(0)
        self._port: int = self._place.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._ending: Ending | None = None
        self.held = threading.Event()
        """A request is held back, and its sender has given up waiting for it."""
        self.carried_out = threading.Event()
        """Elasticsearch has answered it."""
        self._watched: list[_Watched] = []
        self._doing = False
        self._release = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.open()

    def hold(self, ending: Ending) -> None:
        """Hold the next bulk request that creates documents until `release`, and refuse all connections after it."""
        self._ending = ending

    def after(self, pattern: bytes, skipped: int, do: Callable[[], None]) -> None:
        """Once Elasticsearch has carried out the first bulk request in whose beginning this is found, after so many
        that are skipped, call `do` in a thread, and only then pass the answer on.

        Meanwhile no other such request counts: what `do` is about may have sent it before.
        """
        self._watched.append(_Watched(re.compile(pattern), skipped, do))

    def release(self) -> None:
        """Forward the held request."""
        self._loop.call_soon_threadsafe(self._release.set)

    def open(self) -> None:
        """Take connections again."""
        self._do(self._open())

    def close(self) -> None:
        """End it."""

        async def end() -> None:
            self._refuse()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._place.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_socket(self._port), limit=2**26)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            body = await reader.readexactly(int(found[1])) if found else b""
            request = _CONNECTION.sub(b"", head[:-2]) + b"Connection: close\r\n\r\n" + body
            if self._ending is not None and b"/_bulk" in head and body.startswith(b'{"create"'):
                ending, self._ending = self._ending, None
                await self._hold(ending, request, reader, writer)
                return
            answer = await self._forwarded(request)
            if b"/_bulk" in head:
                await self._done(body)
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has closed the connection
        finally:
            writer.close()

    async def _done(self, body: bytes) -> None:
        """A bulk request is carried out."""
        for watched in () if self._doing else list(self._watched):
            if watched.pattern.search(body, 0, _BEGINNING) is None:
                continue
            watched.skipped -= 1
            if watched.skipped < 0:
                self._watched.remove(watched)
                self._doing = True
                await asyncio.get_running_loop().run_in_executor(None, watched.do)
                self._doing = False
                return

    async def _hold(
        self, ending: Ending, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._refuse()
        if ending == "silence":
            await reader.read()  # until it hangs up
        elif ending == "504":
            writer.write(_GATEWAY_TIMEOUT)
            await writer.drain()
        else:
            writer.transport.abort()
        self.held.set()
        await self._release.wait()
        await self._forwarded(request)
        self.carried_out.set()

    async def _forwarded(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._target)
        try:
            writer.write(request)
            await writer.drain()
            return (await reader.read()).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        finally:
            writer.close()


def _socket(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
