"""A window over a stream of bytes: it holds the bytes ahead, and drops those behind."""

from __future__ import annotations

from collections.abc import Iterator


class Window:
    """Bytes ahead of a place in a file. A last line without a line end gets one, which no offset counts."""

    def __init__(self, chunks: Iterator[bytes], offset: int) -> None:
        self._chunks = chunks
        self._data_offset = offset
        self._last = b"\n"
        self._file_end: int | None = None
        self.data = b""
        self.at = 0
        """Index in `data` of the place it has come to."""

    @property
    def offset(self) -> int:
        """The place in the file."""
        offset = self._data_offset + self.at
        return offset if self._file_end is None else min(offset, self._file_end)

    @property
    def ended(self) -> bool:
        """Whether the rest of the stream is in the window."""
        return self._file_end is not None

    @property
    def left(self) -> int:
        """Bytes ahead in the window."""
        return len(self.data) - self.at

    def fill(self, ahead: int) -> None:
        """Read until more than `ahead` bytes, or the rest of the stream, are in the window."""
        if self.ended or self.left > ahead:
            return
        parts = [self.data[self.at :]]
        size = len(parts[0])
        self._data_offset += self.at
        while size <= ahead:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._file_end = self._data_offset + size
                if self._last not in b"\r\n":
                    parts.append(b"\n")
                break
            if chunk:
                parts.append(chunk)
                size += len(chunk)
                self._last = chunk[-1:]
        self.data, self.at = b"".join(parts), 0

    def piece(self) -> bytes:
        """The bytes ahead in the window; the first half of a CRLF stays out until the second half is there."""
        end = len(self.data)
        if not self.ended and self.data.endswith(b"\r"):
            end -= 1
        return self.data[self.at : end]
