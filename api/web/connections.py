"""The server's side of each connection: uvicorn's, with limits on time and on work in one go."""

from __future__ import annotations

import asyncio
import http
import re
from typing import Any, Final

import h11
import msgspec
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import error_body
from api.web.patience import Awaited, Limits, Patience, Sight, Verdict

MOST_HEAD_BYTES: Final = 32 * 1024
"""Of a request's line and headers together."""
MOST_HEADERS: Final = 100
_HEAD_END = re.compile(rb"\n\r?\n")
_EVENTS_A_TURN = 256
"""Pieces of bodies that one connection has taken in before the others have their turn: a chunk may hold one byte."""


class BoundedConfig(Config):
    """uvicorn's configuration, and the limits of each connection."""

    def __init__(self, app: Any, limits: Limits, **more: Any) -> None:
        super().__init__(app, http=Connection, ws="none", h11_max_incomplete_event_size=MOST_HEAD_BYTES, **more)
        self.limits = limits


class BoundedServer(Server):
    """uvicorn's server; once a second it looks at each connection."""

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.tend(now)
        return await super().on_tick(counter)


class _Conversation(h11.Connection):
    """Reads no head that is too long, and stops for a while in a body of very many pieces."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MOST_HEAD_BYTES)
        self.left = _EVENTS_A_TURN

    def next_event(self) -> Any:
        if self.left <= 0:
            return h11.PAUSED
        if self.their_state is h11.IDLE:
            # h11 measures only heads of which the end has not come yet, and lines not at all.
            waiting, _ = self.trailing_data
            end = _HEAD_END.search(waiting)
            head = waiting[: end.start()] if end else waiting
            if len(head) > MOST_HEAD_BYTES or head.count(b"\n") > MOST_HEADERS:
                raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
        self.left -= 1
        return super().next_event()


class Connection(H11Protocol):
    """One connection. A client that keeps it waiting too long is answered 408, or cut off if it is owed an answer."""

    config: BoundedConfig
    conn: _Conversation

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # One line of the log for each bad request would be a way to fill the disk.
        self.logger = self.logger.getChild("connection")
        self.logger.setLevel("ERROR")
        self.conn = _Conversation()
        now = self.loop.time()
        self._patience = Patience(self.config.limits, now)
        self._active_at = now
        self._requests = self._received = self._fetches = 0
        self._seen: object = None
        self._turn: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come: where there is no room, in place of one that has no request under way."""
        super().connection_made(transport)
        if len(self.connections) > self.config.limits.connections:
            others = (one for one in self.connections if isinstance(one, Connection) and one is not self and one.idle)
            longest = min(others, key=lambda one: one._active_at, default=None)
            if longest is None:
                self._refuse(503, "the API has as many connections as it takes (SLUICE_API_CONNECTIONS); try again")
            else:
                longest.transport.abort()
                # It is told that it is gone only later, and must not be found again until then.
                self.connections.discard(longest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        if self._turn is not None:
            self._turn.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    @property
    def idle(self) -> bool:
        """Whether no request is under way: none has come whole, or the last one has its answer."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """More has come."""
        self._received += len(data)
        self._active_at = self.loop.time()
        super().data_received(data)

    def resume_writing(self) -> None:
        """The client has fetched what was held back for it."""
        self._fetches += 1
        super().resume_writing()

    def handle_events(self) -> None:
        """Take in what has come, as far as one turn goes."""
        if self.transport.is_closing():
            return
        self.conn.left = _EVENTS_A_TURN
        super().handle_events()
        if self.cycle is not self._seen:
            self._seen = self.cycle
            self._requests += 1
        if self.conn.left <= 0 and self._turn is None:
            self._turn = self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._turn = None
        if self.cycle is None or self.cycle.response_complete or len(self.cycle.body) <= HIGH_WATER_LIMIT:
            self.flow.resume_reading()
        self.handle_events()

    def tend(self, now: float) -> None:
        """End the connection if its client keeps it waiting; `now` is the loop's time."""
        if self.transport is None:
            return
        sight = Sight(
            at=now,
            requests=self._requests,
            awaited=self._awaited(),
            received=self._received,
            unsent=self.transport.get_write_buffer_size(),
            fetches=self._fetches,
            closing=self.transport.is_closing(),
        )
        verdict = self._patience.verdict(sight)
        if verdict is not None:
            self._end(verdict)

    def _awaited(self) -> Awaited:
        cycle = self.cycle
        if self.conn.their_state is h11.SEND_BODY:
            # What has come already is our own affair, and so is a client that we have told to wait.
            ours = self._turn is not None or self.flow.read_paused
            return "nothing" if ours or (cycle is not None and cycle.waiting_for_100_continue) else "body"
        # Between two requests uvicorn's own timer runs, up to the first byte of the next one.
        waits = self.conn.their_state is h11.IDLE and self.idle and self.timeout_keep_alive_task is None
        return "head" if waits else "nothing"

    def _end(self, verdict: Verdict) -> None:
        limits = self.config.limits
        match verdict:
            case "answer":
                self.transport.abort()
            case "head" if not self._received:
                self.transport.close()  # a browser's, opened in case it is needed
            case "head":
                self._refuse(408, f"the request's line and headers did not come within {limits.head_seconds:g} s")
            case "body":
                self._refuse(
                    408,
                    f"the body came to a stop for {limits.pause_seconds:g} s, or slower than "
                    f"{limits.bytes_per_second:g} bytes a second; nothing was started, send it again",
                )

    def send_400_response(self, msg: str) -> None:
        """Called for what h11 does not take as a request; the whole connection is of no use then."""
        self._refuse(
            400,
            f"this is no HTTP request, or its headers exceed {MOST_HEAD_BYTES // 1024} KiB or {MOST_HEADERS} lines",
        )

    def _refuse(self, code: int, message: str) -> None:
        """Answer as the routes do, and close; where an answer has begun already it is broken off."""
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
