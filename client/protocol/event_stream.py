"""Server-sent events, from the bytes of a stream (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it came."""

    name: str
    data: str
    id: str
    """The id of the newest event that had one; empty: none had."""


@dataclass(slots=True)
class EventReader:
    """Takes bytes in as they come, and gives out the events that they complete."""

    last_id: str = ""
    _rest: bytes = b""
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def take(self, data: bytes) -> Iterator[Sent]:
        """The events that are complete with these bytes."""
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _line(self, line: str) -> Sent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._name = value
            case "id" if "\0" not in value:
                self.last_id = value
        return None

    def _end(self) -> Sent | None:
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return Sent(name or "message", "\n".join(data), self.last_id) if data else None
