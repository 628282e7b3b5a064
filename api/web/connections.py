"""uvicorn's server and connections, with limits on a client's time and on the work in one turn of the event loop."""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final

import h11
import msgspec
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.errors import error_body
from api.web.connection_timeouts import Awaited, ConnectionTimeouts, Exceeded, Limits, Snapshot
from api.web.ending import BREAK_OFF

MOST_HEAD_BYTES: Final = 32 * 1024
"""Bytes of a request's line and headers together, at most."""
MOST_HEADERS: Final = 100
TICK_SECONDS: Final = 1.0
_HEAD_END = re.compile(rb"\n\r?\n")
_EVENTS_A_TURN = 256
"""Events of h11 that a connection handles before the event loop serves the others: a chunk may hold one byte."""


class BoundedConfig(Config):
    """uvicorn's configuration, and the limits of each connection."""

    def __init__(self, app: Any, limits: Limits, **more: Any) -> None:
        super().__init__(app, http=Connection, ws="none", h11_max_incomplete_event_size=MOST_HEAD_BYTES, **more)
        self.limits = limits


class BoundedServer(Server):
    """uvicorn's server; once a second it checks the time limits of each connection."""

    stopping: Callable[[], object] = staticmethod(lambda: None)
    """Called with the first signal to stop."""
    _wake: Callable[[], object] = staticmethod(lambda: None)
    _should_exit = False

    @property
    def should_exit(self) -> bool:
        """Whether it is to stop. Any thread, and a handler of a signal, may set it."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._wake()

    async def main_loop(self) -> None:
        """Once a second do what uvicorn's own loop, which wakes ten times a second, does at each tenth of its turns."""
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = partial(loop.call_soon_threadsafe, told.set)
        try:
            while not await self.on_tick(0):
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await told.wait()
                told.clear()
        finally:
            del self._wake  # the loop may be closed before the server is told again

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal tells the server to stop."""
        if not self.should_exit:
            self.stopping()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Called once a second, and when it is to stop."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check_timeouts(now)
        return await super().on_tick(counter)


class _LimitedH11(h11.Connection):
    """h11's state machine, with a limit on a request's head, and on the events of one turn."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MOST_HEAD_BYTES)
        self.left = _EVENTS_A_TURN
        self.head_is_too_long = False

    def next_event(self) -> Any:
        if self.left <= 0:
            return h11.PAUSED
        if self.their_state is h11.IDLE:
            # h11 limits the size of incomplete heads only, and not the number of lines.
            waiting, _ = self.trailing_data
            end = _HEAD_END.search(waiting)
            head = waiting[: end.start()] if end else waiting
            if len(head) > MOST_HEAD_BYTES or head.count(b"\n") > MOST_HEADERS:
                self.head_is_too_long = True
                raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
        self.left -= 1
        return super().next_event()


class Connection(H11Protocol):
    """One connection. A client that sends too slowly is answered 408; one that reads too slowly is cut off."""

    config: BoundedConfig
    conn: _LimitedH11

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # With a log line for each bad request a client could fill the disk.
        self.logger = self.logger.getChild("connection")
        self.logger.setLevel("ERROR")
        self.conn = _LimitedH11()
        now = self.loop.time()
        self._timeouts = ConnectionTimeouts(self.config.limits, now)
        self._active_at = now
        self._requests = self._received = self._fetches = 0
        self._counted: object = None
        """The request (uvicorn's cycle) that was counted last."""
        self._next_turn: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected. Beyond the limit it replaces the connection that has been idle for longest."""
        super().connection_made(transport)
        if len(self.connections) > self.config.limits.connections:
            others = (one for one in self.connections if isinstance(one, Connection) and one is not self and one.idle)
            longest = min(others, key=lambda one: one._active_at, default=None)
            if longest is None:
                self._refuse(503, "the API has as many connections as it takes (SLUICE_API_CONNECTIONS); try again")
            else:
                longest.transport.abort()
                # connection_lost is called later; until then it must not be chosen again.
                self.connections.discard(longest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by the client or by us."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    @property
    def idle(self) -> bool:
        """Whether no request is being served: none has arrived completely, or the last one is answered."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """The client has sent more bytes."""
        self._received += len(data)
        self._active_at = self.loop.time()
        super().data_received(data)

    def resume_writing(self) -> None:
        """The client has read enough that uvicorn may write again."""
        self._fetches += 1
        super().resume_writing()

    def handle_events(self) -> None:
        """Handle the received bytes, up to _EVENTS_A_TURN events; the rest in a later turn of the event loop."""
        if self.transport.is_closing():
            return
        self.conn.left = _EVENTS_A_TURN
        super().handle_events()
        if self.cycle is not self._counted:
            self._counted = self.cycle
            self._requests += 1
            # The cycle's task has not begun yet.
            extensions: dict[str, Any] = self.cycle.scope.setdefault("extensions", {})
            extensions[BREAK_OFF] = partial(self._break_off, self.cycle)
        if self.conn.left <= 0 and self._next_turn is None:
            self._next_turn = self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._next_turn = None
        if self.cycle is None or self.cycle.response_complete or len(self.cycle.body) <= HIGH_WATER_LIMIT:
            self.flow.resume_reading()
        self.handle_events()

    def _break_off(self, cycle: RequestResponseCycle) -> None:
        """Close the connection of an answer that is not complete, so that its client can't take it for complete."""
        cycle.disconnected = True
        cycle.message_event.set()
        self.transport.abort()

    def check_timeouts(self, now: float) -> None:
        """Close the connection if its client has exceeded a time limit; `now` is the loop's time."""
        if self.transport is None:
            return
        snapshot = Snapshot(
            at=now,
            requests=self._requests,
            awaited=self._awaited(),
            received=self._received,
            unsent=self.transport.get_write_buffer_size(),
            fetches=self._fetches,
            closing=self.transport.is_closing(),
        )
        exceeded = self._timeouts.exceeded(snapshot)
        if exceeded is not None:
            self._end(exceeded)

    def _awaited(self) -> Awaited:
        cycle = self.cycle
        if self.conn.their_state is h11.SEND_BODY:
            # The client is not late while we handle received bytes, or have paused reading, or owe it 100-continue.
            ours = self._next_turn is not None or self.flow.read_paused
            return "nothing" if ours or (cycle is not None and cycle.waiting_for_100_continue) else "body"
        # Between two requests uvicorn's own timer runs, up to the first byte of the next one.
        waits = self.conn.their_state is h11.IDLE and self.idle and self.timeout_keep_alive_task is None
        return "head" if waits else "nothing"

    def _end(self, exceeded: Exceeded) -> None:
        limits = self.config.limits
        match exceeded:
            case "answer":
                self.transport.abort()
            case "head" if not self._received:
                self.transport.close()  # browsers open spare connections
            case "head":
                self._refuse(408, f"the request's line and headers did not come within {limits.head_seconds:g} s")
            case "body":
                self._refuse(
                    408,
                    f"the body came to a stop for {limits.pause_seconds:g} s, or slower than "
                    f"{limits.bytes_per_second:g} bytes a second; nothing was started, send it again",
                )

    def send_400_response(self, msg: str) -> None:
        """Called when h11 can't parse a request; nothing more can be read from the connection then."""
        if self.conn.head_is_too_long:
            self._refuse(431, f"the headers exceed {MOST_HEAD_BYTES // 1024} KiB or {MOST_HEADERS} lines")
        else:
            self._refuse(400, "this is no HTTP request")

    def _refuse(self, code: int, message: str) -> None:
        """Answer with an error body, and close; an answer that has begun already is cut off."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = msgspec.json.encode(error_body(code, message))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        reason = http.HTTPStatus(code).phrase.encode()
        try:
            answer = [
                self.conn.send(h11.Response(status_code=code, headers=headers, reason=reason)),
                self.conn.send(h11.Data(data=body)),
                self.conn.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError:
            self.transport.abort()
            return
        self.transport.write(b"".join(part for part in answer if part))
        self.transport.close()
