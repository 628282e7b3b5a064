"""What may come of a request's file: the quotas of its organisation, as far as it is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.errors import refused
from control.creation.quotas import Usage, exceeded
from control.errors import Rejected
from csvfile.line_lengths import LineLengths
from schemas.policies.quotas import QuotaBook, Quotas


@dataclass(frozen=True, slots=True)
class Allowance:
    """The bounds of one file. Where they are exceeded the rest of the body is not taken."""

    body_bytes: int
    line_bytes: int
    left_bytes: int
    """What may be stored beside the files that the organisation has."""
    organisation: str = ""
    """Empty: not known yet. The bounds are the widest of any that the caller may act for."""

    @classmethod
    def widest(cls, book: QuotaBook, organisations: frozenset[str] | None) -> Allowance:
        """What any of these organisations may send; None: any at all."""
        return cls(
            book.widest("body_bytes", organisations),
            book.widest("line_bytes", organisations),
            book.widest("stored_bytes", organisations),
            ", ".join(sorted(organisations)) if organisations else "",
        )

    @classmethod
    def of(cls, organisation: str, quotas: Quotas, usage: Usage) -> Allowance:
        """What an organisation with this usage may still send."""
        return cls(quotas.body_bytes, quotas.line_bytes, max(0, quotas.stored_bytes - usage.stored_bytes), organisation)

    def require_body(self, received: int) -> None:
        """Raises ApiError 413 if more has come than a body may have."""
        if received > self.body_bytes:
            text = f"the body has more than {self.body_bytes:,} bytes"
            raise refused(self._exceeded("body_bytes", self.body_bytes, text))

    def require_room(self, stored: int) -> None:
        """Raises ApiError 413 if more of the file is stored than there is room for."""
        if stored > self.left_bytes:
            text = f"the file has more than the {self.left_bytes:,} bytes that are left"
            raise refused(self._exceeded("stored_bytes", self.left_bytes, text))

    def require_lines(self, lengths: LineLengths, data: bytes) -> None:
        """Raises ApiError 413 if a line is too long; `data` is the next bytes of the file."""
        place = lengths.too_long(data)
        if place is not None:
            text = f"the line that begins at byte {place:,} of the file has more than {self.line_bytes:,} bytes"
            raise refused(self._exceeded("line_bytes", self.line_bytes, text))

    def _exceeded(self, name: str, most: int, found: str) -> Rejected:
        return exceeded(name, self.organisation, most, found)  # type: ignore[arg-type]


UNBOUNDED: Final = Allowance(2**63, 2**63, 2**63)
