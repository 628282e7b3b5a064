"""Parses a multipart/form-data body chunk by chunk. Pure: it keeps no more than one chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.errors import ApiError, invalid

_MOST_TYPE: Final = 1000
MOST_PARTS: Final = 200
"""Parts of one body, at most; a page's form has a dozen."""


@dataclass(frozen=True, slots=True)
class PartBegan:
    """The headers of a part have been read."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part that began last is complete."""


PartEvent = PartBegan | PartData | PartEnded


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart/form-data body; None: the body is of another type.

    Raises:
        ApiError: 400, the Content-Type has no boundary, or is too long.
    """
    if len(content_type) > _MOST_TYPE:
        raise invalid(f"the Content-Type is longer than {_MOST_TYPE} characters; let the HTTP client set this header")
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary")
    if not boundary:
        raise invalid("the multipart body has no boundary in its Content-Type; let the HTTP client set this header")
    return boundary


class FormReader:
    """Turns chunks of a multipart body into part events."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[PartEvent] = []
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._complete = False
        self._parts = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_part,
                    "on_part_data": self._on_data,
                    "on_part_end": lambda: self._events.append(PartEnded()),
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise invalid(f"the multipart body can't be read: {error}") from error

    def feed(self, chunk: bytes) -> list[PartEvent]:
        """Parse a chunk; returns the events in it.

        Raises:
            ApiError: 400, the body is no multipart body, or has too many parts.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise invalid(f"the multipart body can't be read: {error}") from error
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """End the body: there are no more chunks.

        Raises:
            ApiError: 400, the body broke off before its end.
        """
        if not self._complete:
            raise broken_off()

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            # Raised here, not after the chunk: one chunk may hold thousands of parts.
            raise invalid(f"the multipart body has more than {MOST_PARTS} parts")
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        filename = options.get(b"filename")
        self._events.append(
            PartBegan(
                options.get(b"name", b"").decode("utf-8", "replace"),
                None if filename is None else filename.decode("utf-8", "replace"),
            )
        )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartData(data[start:end]))

    def _on_end(self) -> None:
        self._complete = True


def broken_off() -> ApiError:
    """400: the sender stopped before the end of the body."""
    return invalid("the body broke off before its end; nothing was started, send the file again")
