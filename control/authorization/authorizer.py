"""What the control agent is to do about a record of the topic ``commands``, by who wrote it.

Services write to this topic, and so do the API and the control agent itself: reports of readers and workers come by the
topic ``reports``, and the agent copies them here, so that all commands have one order (decision 0052).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from control.authorization.senders import (
    BY_TOPIC,
    Asked,
    Headers,
    OrganisationOf,
    header_of,
    request_problem,
    signature_problem,
    signer_of,
)
from control.errors import Rejected, UndecidedError
from control.principals.registry import Registry
from schemas.policies.principals import ApiKey, Signer
from signing import HEADER, Signature, read_signature

T = TypeVar("T")
_TAKEN_KEPT: Final = 10_000
REPORT_HEADER: Final = "sluice-report"
"""The header of a copy in ``commands`` with the offset of its report in ``reports``."""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A record of the topic ``commands``."""

    offset: int
    at: int
    """When Kafka took it in, milliseconds since 1970."""
    value: bytes
    headers: Headers


class Reports(Protocol):
    """The topic ``reports``, as far as the authorizer needs it."""

    async def has(self, offset: int, value: bytes) -> bool:
        """Whether the record at this offset has this value."""
        ...

    def old_until(self) -> int:
        """Until when reports are taken that processes of the version before have written to ``commands`` themselves."""
        ...


class Principals(Protocol):
    """The topic ``principals``."""

    @property
    def registry(self) -> Registry:
        """What has been read of it."""
        ...

    async def catch_up(self) -> None:
        """Read it to the end that it has now."""
        ...


Recent = Callable[[int], Awaitable[Iterable[tuple[int, Headers]]]]
"""The offsets and headers of the commands since a time, milliseconds since 1970."""


class Authorizer:
    """Checks who wrote each record that the control agent takes."""

    def __init__(
        self,
        reports: Reports,
        principals: Principals,
        recent: Recent,
        *,
        required: bool,
        window_seconds: float,
        roots: Iterable[str] = (),
    ) -> None:
        """`required`: refuse requests that are not signed. `window_seconds`: how long a signature may be on its way.
        `roots`: the import folders."""
        self._reports = reports
        self._principals = principals
        self._recent = recent
        self._required = required
        self._window_ms = int(window_seconds * 1000)
        self._roots = tuple(roots)
        self._taken: OrderedDict[int, None] = OrderedDict()
        """Offsets of the newest reports that were taken. Reports tolerate a repeat of an older one."""
        self._seen: dict[tuple[str, str], tuple[int, int]] | None = None
        """(signer, nonce) -> offset of the first record with it, and the signature's time."""

    def reset(self) -> None:
        """Another agent may have been in control before: what it has seen is read again."""
        self._taken.clear()
        self._seen = None

    async def report(self, record: CommandRecord) -> Rejected | bool:
        """Whether a report is to be taken in: false for a repeat; or why it is refused."""
        named = header_of(record.headers, REPORT_HEADER)
        if named is None:
            if record.at < self._reports.old_until():
                return True
        elif named.isdigit() and len(named) < 19:
            offset = int(named)
            if await self._reports.has(offset, record.value):
                if offset in self._taken:
                    return False
                self._taken[offset] = None
                if len(self._taken) > _TAKEN_KEPT:
                    self._taken.popitem(last=False)
                return True
        return Rejected(403, "reports come by the topic reports, which readers and workers alone may write to")

    async def asked(self, record: CommandRecord, command: Asked, organisation_of: OrganisationOf) -> Asked | Rejected:
        """The request as it is to be carried out, under the name of who has signed it; or why it is refused.

        Raises:
            UndecidedError: Kafka does not answer who that is, or which commands have come before.
        """
        header = header_of(record.headers, HEADER)
        if header is None:
            if self._required:
                text = "the record is not signed, and this installation takes signed commands only; sign it"
                return Rejected(401, f"{text}, or send the request over REST")
            return replace(command, by=BY_TOPIC)
        signature = read_signature(header)
        if signature is None:
            return Rejected(400, f"the header {HEADER} can't be read; see docs/producing.md for its form")
        signer = await self._signer(signature)
        problem = (
            signature_problem(signer, signature, "commands", command.job_id, record.value, record.at)
            or self._time_problem(record, signature)
            or await self._replay_problem(record, signature)
        )
        if problem is not None:
            return problem
        if not isinstance(signer, ApiKey):
            return command
        return request_problem(signer, command, organisation_of, self._roots) or replace(command, by=signer.name)

    async def _signer(self, signature: Signature) -> ApiKey | Signer | None:
        known = signer_of(self._principals.registry, signature)
        if isinstance(known, Signer):
            return known
        await _answered(self._principals.catch_up())  # it may be new, or have been revoked by now
        return signer_of(self._principals.registry, signature)

    def _time_problem(self, record: CommandRecord, signature: Signature) -> Rejected | None:
        apart = abs(record.at - signature.at)
        if apart <= self._window_ms:
            return None
        return Rejected(
            401,
            f"the record was signed {apart / 1000:,.0f} s before or after Kafka took it in, and "
            f"{self._window_ms / 1000:g} s are allowed; set the clock right, and sign it anew",
        )

    async def _replay_problem(self, record: CommandRecord, signature: Signature) -> Rejected | None:
        if self._seen is None:
            self._seen = {}
            for offset, headers in await _answered(self._recent(record.at - 2 * self._window_ms)):
                earlier = read_signature(header_of(headers, HEADER))
                if earlier is not None and offset < record.offset:
                    self._see(offset, earlier)
        first, _ = self._see(record.offset, signature)
        over = record.at - 2 * self._window_ms
        for key in list(takewhile(lambda item: item[1][1] < over, self._seen.items())):
            del self._seen[key[0]]
        if first == record.offset:
            return None
        return Rejected(409, f"this signed record has come before, at offset {first}; sign each one anew")

    def _see(self, offset: int, signature: Signature) -> tuple[int, int]:
        assert self._seen is not None
        return self._seen.setdefault((signature.signer, signature.nonce), (offset, signature.at))


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except Exception as error:
        raise UndecidedError(f"Kafka does not answer who may send a command: {error}") from error
