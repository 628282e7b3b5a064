"""Finds a line that is too long in bytes that come in pieces. It keeps none of them."""

from __future__ import annotations


class LineLengths:
    """Looks at each byte about once, in steps of the limit: most lines are far shorter."""

    def __init__(self, most: int) -> None:
        """`most`: bytes of a line without its line end."""
        self.most = most
        self._begun = 0
        """Bytes before the line that the last piece ended in."""
        self._seen = 0

    def too_long(self, data: bytes) -> int | None:
        """Take in the next bytes; the offset of the first line that is too long, None: there is none so far."""
        base, at = self._seen, self._begun - self._seen  # `at`: where the current line begins, maybe before `data`
        self._seen += len(data)
        while len(data) - at > self.most:
            stop = at + self.most + 1
            end = max(data.rfind(b"\n", max(at, 0), stop), data.rfind(b"\r", max(at, 0), stop))
            if end < 0:
                return base + at
            at = end + 1
        # Within the limit here: only the beginning of the last line is needed.
        end = max(data.rfind(b"\n", max(at, 0)), data.rfind(b"\r", max(at, 0)))
        self._begun = base + (end + 1 if end >= 0 else at)
        return None
