"""Who has signed a record, and what a principal may ask for by a record: the same as over REST. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeGuard

from msgspec import UnsetType

from control.errors import Rejected
from control.principals.registry import Registry
from schemas.job import Source
from schemas.messages.commands import (
    Command,
    CreateJob,
    InputEnded,
    PurgeJob,
    Request,
    RetryErrors,
    StartDraft,
    StartJob,
)
from schemas.policies.principals import ApiKey, Role, Signer
from signing import HEADER, MOST_HEADER_BYTES, Signature, SignedTopic, verifies

BY_TOPIC: Final = "topic"
"""The name that the history gives to senders who have not signed."""
Headers = Sequence[tuple[str, bytes]]
Asked = Request | InputEnded
"""What services ask for: a request, or the number of a job's rows."""
OTHER_ROLES: Final[Mapping[type, Role]] = {PurgeJob: Role.ADMIN}
"""Request -> the least role, of those that take another one than operator; over REST and on the page as well."""
OrganisationOf = Callable[[str], str | None]
"""Job id -> its organisation; None: there is no such job."""


def is_asked(command: Command) -> TypeGuard[Asked]:
    """Whether it is no report, but what a person or a service asks for, or says of the rows that it sends."""
    return isinstance(command, Request) or (isinstance(command, InputEnded) and command.input is None)


def header_of(headers: Headers, name: str) -> bytes | None:
    """The value of the first header of this name; None: there is none."""
    if not headers:  # as nearly all rows of the inbox come
        return None
    return next((value for given, value in headers if given == name and isinstance(value, bytes)), None)


def kept_headers(headers: object) -> Headers:
    """What is kept of the headers of a record, as Kafka's clients give them: a signature, if there is one.

    A sender may add a megabyte of headers to each record. Of one that is too long to be a signature so much is kept
    that `read_signature` refuses it as well.
    """
    given = header_of(headers, HEADER) if isinstance(headers, list | tuple) else None
    return () if given is None else ((HEADER, given[: MOST_HEADER_BYTES + 1]),)


def signer_of(registry: Registry, signature: Signature) -> ApiKey | Signer | None:
    """Whose signature this says it is; None: no one's that is known."""
    return registry.keys.get(signature.signer) or registry.signers.get(signature.signer)


def signature_problem(
    signer: ApiKey | Signer | None, signature: Signature, topic: SignedTopic, job_id: str, value: bytes, at: int
) -> Rejected | None:
    """Why a signature does not count, of a record that Kafka took in at `at`; None: it does."""
    if signer is None:
        return Rejected(401, f"the record is signed with key {signature.signer}, which is not known")
    if isinstance(signer.signing_key, UnsetType):
        return Rejected(401, f"key {signer.id} was made by a version whose keys can't sign; make another key")
    if not verifies(signer.signing_key, signature, topic, job_id, value):
        return Rejected(
            401,
            f"the signature of key {signer.id} does not fit the record; sign the very bytes, for this topic and job",
        )
    match signer:
        case ApiKey(revoked_at=int(revoked)) if revoked <= at:
            return Rejected(401, f"key {signer.id} was revoked; ask an admin for another one")
        case ApiKey(expires_at=int(end)) | Signer(ends_at=end) if end <= at:
            return Rejected(401, f"key {signer.id} has expired; ask an admin for another one")
    return None


def may_act_for(key: ApiKey, organisation: str) -> bool:
    """Whether a key is for this organisation."""
    return key.organisations is None or organisation in key.organisations


def request_problem(
    key: ApiKey, command: Asked, organisation_of: OrganisationOf, roots: Iterable[str]
) -> Rejected | None:
    """Why the owner of a key may not ask for this; None: they may. `roots`: the import folders."""
    needed = OTHER_ROLES.get(type(command), Role.OPERATOR)
    job_id = command.dry_run if isinstance(command, StartJob) else command.job_id
    organisation = command.organisation if isinstance(command, CreateJob) else organisation_of(job_id)
    if isinstance(command, CreateJob):
        if not may_act_for(key, command.organisation):
            return Rejected(403, f"key {key.id} is not for organisation {command.organisation}")
        # A job of another organisation under this id must not be told from one that is not there by what it is.
        taken = organisation_of(command.job_id)
        if taken is not None and not may_act_for(key, taken):
            return Rejected(409, f"job id {command.job_id} can't be used; choose another one")
    elif organisation is None or not may_act_for(key, organisation):
        return Rejected(404, f"there is no job {job_id}")
    if not key.role.covers(needed):
        return Rejected(403, f"this needs the role {needed}, and key {key.id} has the role {key.role}")
    source = command.source if isinstance(command, CreateJob | StartDraft | RetryErrors) else None
    return None if source is None else _source_problem(key, source, organisation or "", roots)


def _source_problem(key: ApiKey, source: Source, organisation: str, roots: Iterable[str]) -> Rejected | None:
    """Files may be named as over REST: those in import folders, and by some only in their organisation's subfolder."""
    if source.kind != "file" or source.path is None:
        return None
    folders = [root if key.organisations is None else posixpath.join(root, organisation) for root in roots]
    path = posixpath.normpath(source.path)
    if path == source.path and any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders):
        return None
    if not folders:
        return Rejected(403, "jobs can't name files: there are no import folders (SLUICE_IMPORT_FOLDERS)")
    return Rejected(403, f"file {path[:200]!r} is outside the import folders; put it in one of {', '.join(folders)}")
