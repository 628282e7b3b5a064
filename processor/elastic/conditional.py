"""Bulk items on one document that are carried out only if it is as it was when it was read."""

from __future__ import annotations

import msgspec

_encode = msgspec.json.Encoder().encode


class Conditional(msgspec.Struct, frozen=True, gc=False):
    """A bulk item on one document, carried out only if it is as it was when it was read."""

    index: str
    id: str
    seq: int | None = None
    """Sequence number of what was read; None: there was nothing."""
    term: int = 0

    def write(self, line: bytes) -> bytes:
        """Write the document, whose JSON is `line`."""
        if self.seq is None:
            return b'{"create":{"_index":%b,"_id":%b}}\n%b' % (_encode(self.index), _encode(self.id), line)
        return b'{"index":%b}\n%b' % (self._head(), line)

    def delete(self) -> bytes:
        """Take it out."""
        return b'{"delete":%b}' % self._head()

    def _head(self) -> bytes:
        return b'{"_index":%b,"_id":%b,"if_seq_no":%d,"if_primary_term":%d}' % (
            _encode(self.index),
            _encode(self.id),
            self.seq if self.seq is not None else -1,
            self.term,
        )
