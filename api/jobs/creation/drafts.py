"""Jobs that are made before their file comes: how much of it is here, its next part, the start, and their end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request

from api.errors import ApiError, KafkaUnavailableError, invalid, refused
from api.jobs.creation.draft_room import draft_file, room_for, within
from api.jobs.creation.job_request import Admission, require_known
from api.jobs.reading.times import time_in
from api.models.jobs import FilePart
from api.models.requests import Start
from api.readmodel.command_log import submit
from api.uploads.conversion import beginning, plain
from api.uploads.drafts import DraftFile, kept_drafts, remove_drafts
from api.uploads.import_folders import Look, digest_of
from api.uploads.spool import own_name
from api.uploads.unpacking import compression_of
from api.uploads.upload import Upload
from api.web.auth import Caller
from api.web.ending import while_holding
from api.web.services import Services
from control.errors import Rejected
from control.moves import legality
from control.timers import time_problem
from csvfile.header import HEAD_BYTES
from csvfile.layout import text_by
from runtime.clock import now_ms
from runtime.files.identity import identity_of
from runtime.files.storage_threads import in_storage_thread
from runtime.telemetry.log_events import as_event
from runtime.text.formatting import iso_time
from schemas.job import Job, Source, State
from schemas.messages.commands import CreateJob, StartDraft, TerminateJob

log = logging.getLogger(__name__)

_EXPIRY_SECONDS: Final = 300.0
_LOOKS: Final = 12
"""Every so many rounds all folders are looked at, each hour: their number is that of the jobs of thirty days."""
_UNKNOWN_MS: Final = 24 * 3_600_000
"""The file of a draft that is not known is kept for this much longer than drafts last."""


async def take_part(services: Services, job: Job, caller: Caller, offset: int, request: Request) -> int:
    """Take the next part of a draft's file; bytes that have come.

    Raises:
        ApiError: 409, the job is no draft, or the part does not belong there; 400, the file does not fit; 413, it is
            too large, or exceeds what the organisation may store; 507 or 503, the disk does not take it.
    """
    require_draft(job, services)
    file, allowed = draft_file(services, job), await room_for(services, job)
    body = within(allowed, offset, while_holding(services, caller, request.stream()))
    size = await file.append(offset, body)
    if offset < HEAD_BYTES <= size:
        await in_storage_thread(_look_early, services, job, caller, file)
    return size


def require_draft(job: Job, services: Services) -> None:
    """Require that a job still takes its file.

    Raises:
        ApiError: 409, it does not, or its dataset is not there any more.
    """
    if job.state is not State.DRAFT:
        raise ApiError(
            409,
            f"job {job.id} is {job.state}: a file is taken while it is DRAFT",
            {"state": job.state, "job_id": job.id},
        )
    require_known(job, services.catalog)
    if _expired(job, services):
        raise ApiError(409, f"job {job.id} has waited for its file for too long: make another one", {"job_id": job.id})


def is_draft(job: Job) -> bool:
    """Whether a start is of this job itself, now or before; of a dry run that is over it makes the real job."""
    return job.state is State.DRAFT or (job.draft and not (job.options.dry_run and job.ended_at is not None))


async def start_draft(request: Request, services: Services, job: Job, caller: Caller, body: Start) -> Job:
    """Start a job whose file has come; the job after that. One that was started before is left alone.

    Raises:
        ApiError: 400, the file does not fit, or the time to start; 409, it is not all here, or the job can't begin now,
            or has begun with another file; as `submit`.
    """
    if body.options is not None:
        raise invalid("a draft has its options from its creation: leave options out")
    if job.state is not State.DRAFT:
        return _started(job, body)
    require_draft(job, services)
    file = draft_file(services, job)
    command = StartDraft(
        job_id=job.id,
        by=caller.name,
        reason=body.reason,
        source=Source(),
        start_at=time_in("start_at", body.start_at),
    )
    late = time_problem(command, job, now_ms())
    if late is not None:  # before megabytes are converted for nothing
        raise invalid(late)
    with file.locked() as path:
        job = services.view.jobs.get(job.id, job)
        if job.state is not State.DRAFT:  # another request has started it meanwhile
            return _started(job, body)
        allowed = await room_for(services, job)
        async with Upload(services.settings.storage_root, job.id, services.settings.unpacked_bytes, allowed) as upload:
            _require_bytes(job, path.stat().st_size)
            measure = partial(_measured, services, job, caller, path, upload)
            measured = await services.files.run(request, job.organisation, measure)
            _require_hash(body, measured or upload.source())
            if measured is None:
                async with upload.kept() as source:
                    started = await submit(services.commands, services.live, replace(command, source=source))
                await upload.discard_unless(started.source)
            else:
                with file.named() as final:
                    source = replace(measured, path=file.stored_as, identity=identity_of(final.stat()))
                    started = await submit(services.commands, services.live, replace(command, source=source))
        await in_storage_thread(file.replaced_by, started.source.path)
    return started


def _started(job: Job, body: Start) -> Job:
    """A job that was started before, as the answer to a start that comes again.

    Raises:
        ApiError: 409, the start is of another file.
    """
    if body.sha256 not in (None, _digest(job.source)):
        answer = legality(job, StartDraft(job_id=job.id, source=Source(sha256=body.sha256)))
        if isinstance(answer, Rejected):
            raise refused(answer)
    return job


async def end_drafts(services: Services) -> None:
    """Terminate drafts whose time is over, and remove the files of those that have ended; until cancelled."""
    drafts: set[str] | None = None
    for number in itertools.count():
        await asyncio.sleep(_EXPIRY_SECONDS)
        try:
            drafts = await end_expired(services, drafts if number % _LOOKS else None)
        except Exception:
            drafts = None
            log.exception(
                "old drafts could not be ended; trying again in five minutes", extra=as_event("drafts.trouble")
            )


async def end_expired(services: Services, before: set[str] | None = None) -> set[str] | None:
    """One round of `end_drafts`; answers the ids of the drafts there are, for the next round.

    `before`: looks for files of these only, as far as they are no drafts any more; None: in the folders of all jobs.
    """
    if not services.live.caught_up:
        return None
    drafts = [job for job in services.view.jobs.open.values() if job.state is State.DRAFT]
    for job in drafts:
        if _expired(job, services):
            reason = f"its file did not come within {services.settings.draft_hours:g} hours"
            with suppress(KafkaUnavailableError):
                await services.commands.append(TerminateJob(job_id=job.id, by="sluice", reason=reason))
    root = services.settings.storage_root
    known = {job.id for job in drafts}
    files = await in_storage_thread(kept_drafts, root, None if before is None else before - known)
    over = [job_id for job_id, touched_at in files.items() if _over(job_id, touched_at, services)]
    await in_storage_thread(remove_drafts, root, over)
    return known


def _over(job_id: str, touched_at: int, services: Services) -> bool:
    """Whether no part of this draft's file is taken any more.

    A job that is not known may be one that another API process has made, and that Kafka has not told this one of yet.
    """
    job = services.view.jobs.get(job_id)
    if job is not None:
        return job.state is not State.DRAFT
    return now_ms() > touched_at + _lasting_ms(services) + _UNKNOWN_MS


def file_part(services: Services, job: Job, size: int) -> FilePart:
    """How much of a draft's file has come."""
    return FilePart(job_id=job.id, offset=size, bytes=job.source.bytes, expires_at=iso_time(_end(job, services)) or "")


def _end(job: Job, services: Services) -> int:
    """When a draft ends by itself, in milliseconds since 1970."""
    return job.created_at + _lasting_ms(services)


def _lasting_ms(services: Services) -> int:
    """How long a draft waits for its file, in milliseconds."""
    return round(services.settings.draft_hours * 3_600_000)


def _expired(job: Job, services: Services) -> bool:
    return now_ms() > _end(job, services)


def _measured(
    services: Services, job: Job, caller: Caller, path: Path, upload: Upload, stop: threading.Event
) -> Source | None:
    """The file as a job's source, where it can stay as it is; None: another one was made of it, into `upload`."""
    text, look = text_by(job.options), _look(services, job, caller)
    with path.open("rb", buffering=0) as file:
        if not plain(file.read(HEAD_BYTES), text):
            file.seek(0)
            upload.expect(text)
            # A start before this one, of which this process has not heard yet, may have converted it too.
            name = job.source.name or "upload.csv"
            upload.convert(name, file, look, stop, own_name(name))
            return None
    return replace(digest_of(path, look, stop)[1], name=job.source.name)


def _look(services: Services, job: Job, caller: Caller) -> Look:
    command = CreateJob(
        job_id=job.id,
        operation=job.operation,
        dataset=job.dataset,
        organisation=job.organisation,
        options=job.options,
    )
    return partial(Admission(job.id, caller, services.catalog).look, command)


def _look_early(services: Services, job: Job, caller: Caller, file: DraftFile) -> None:
    """Refuse a wrong beginning before the rest has come; a zip tells at its end what is in it. Blocks.

    A beginning that a header may go on behind is left to the start: bytes of UTF-16, say, are half as many of UTF-8.
    """
    head = file.head(HEAD_BYTES)
    if compression_of(head) != "zip":
        found = beginning(head, False, text_by(job.options))
        if found.enough:
            _look(services, job, caller)(found.text[:HEAD_BYTES], found.whole)


def _require_bytes(job: Job, size: int) -> None:
    expected = job.source.bytes
    if size == 0 or (expected is not None and size != expected):
        of = "" if expected is None else f" of {expected:,}"
        text = f"{size:,}{of} bytes of the file have come: send the rest, then start the job"
        raise ApiError(409, text, {"offset": size, "job_id": job.id})


def _require_hash(body: Start, source: Source) -> None:
    found = _digest(source)
    if body.sha256 not in (None, found):
        raise ApiError(
            409, f"the file that has come has the SHA-256 {found}, and {body.sha256} was sent: terminate this job"
        )


def _digest(source: Source) -> str | None:
    """The SHA-256 of a file as it was sent."""
    return source.format.sha256 if source.format and source.format.sha256 else source.sha256
