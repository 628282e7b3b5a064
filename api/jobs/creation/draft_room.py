"""How large the file of a draft may become, beside what its organisation has stored already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from api.uploads.allowance import Allowance
from api.uploads.drafts import DraftFile, drafts_bytes
from api.web.services import Services
from schemas.job import Job, State


def draft_file(services: Services, job: Job) -> DraftFile:
    """The file of a job that is still to come, or has come in parts."""
    announced = job.source.bytes if job.state is State.DRAFT else None
    most = services.settings.unpacked_bytes if announced is None else announced
    return DraftFile(services.settings.storage_root, job.id, job.source.name, most)


async def room_for(services: Services, job: Job) -> Allowance:
    """How many bytes a draft's file may have: its organisation's limits, less other jobs' and drafts' files."""
    own = [other for other in services.view.jobs.open.values() if other.organisation == job.organisation]
    others = await drafts_bytes(services.settings.storage_root, (other for other in own if other.id != job.id))
    allowed = Allowance.of(
        job.organisation, services.catalog.quotas.of(job.organisation), services.view.usages.of(job.organisation)
    )
    return replace(allowed, left_bytes=max(0, allowed.left_bytes - others))


async def within(allowed: Allowance, size: int, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes of a part, as far as a file may grow from `size` on. Raises ApiError 413."""
    async for chunk in body:
        size += len(chunk)
        allowed.require_body(size)
        allowed.require_room(size)
        yield chunk
