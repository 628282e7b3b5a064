"""Whether the sender of a record of the inbox may send rows of its job. Pure, but for the principals it is given."""

from __future__ import annotations

from collections.abc import Callable

from control.authorization.senders import header_of, may_act_for, signature_problem, signer_of
from control.principals.registry import Registry
from ingest.inbox.waiting_rows import Record
from schemas.job import Job
from schemas.policies.principals import ApiKey, Role
from signing import HEADER, read_signature

SenderProblem = Callable[[Record, Job], str | None]
"""Why a record is refused for its sender, as a dead letter has it; None: it is not."""


def anyone(_record: Record, _job: Job) -> str | None:
    """Every sender may send rows of every job."""
    return None


class Senders:
    """Checks who sends rows. A signature's time does not matter: a row that comes again is dropped by its number."""

    def __init__(self, registry: Registry, required: bool) -> None:
        """`required`: refuse what is not signed. The registry has to be up to date when `problem` is called."""
        self._registry = registry
        self._required = required

    def problem(self, record: Record, job: Job) -> str | None:
        """See SenderProblem."""
        header = header_of(record.headers, HEADER)
        if header is None:
            return "the record is not signed, and this installation takes signed rows only" if self._required else None
        signature = read_signature(header)
        if signature is None:
            return f"the header {HEADER} can't be read; see docs/producing.md for its form"
        signer = signer_of(self._registry, signature)
        problem = signature_problem(signer, signature, "inbox", job.id, record.value or b"", record.at)
        if problem is not None:
            return problem.message
        if not isinstance(signer, ApiKey) or not may_act_for(signer, job.organisation):
            return f"there is no job {job.id}"
        if not signer.role.covers(Role.OPERATOR):
            return f"this needs the role {Role.OPERATOR}, and key {signer.id} has the role {signer.role}"
        return None
