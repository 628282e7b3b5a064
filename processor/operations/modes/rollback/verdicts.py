"""What a rollback does about one document, by its before-image, its content now, and the images of later jobs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from processor.operations.modes.found import digest, mark_of
from processor.operations.modes.images import Image

Kind = Literal["restore", "restored", "kept"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about a document."""

    kind: Kind
    """restore: the document becomes what it was. restored: it is that already, or is gone with what the job had seen.
    kept: others have changed it."""
    reason: str = ""
    """Why it is kept."""
    job: str | None = None
    """The job that has changed it, if one has."""
    successors: tuple[Image, ...] = ()
    """Images of later jobs, as they are to be: the before-image goes to them."""
    reassigned: bool = False
    """A later job has the before-image, or gets it now."""


RESTORE = Verdict("restore")
"""The verdict on a document that is as the job left it."""


def judge(
    image: Image,
    now: bytes | None,
    later: Sequence[Image],
    force: bool = False,
    imaged: bool = True,
    taken_back: bool = False,
) -> Verdict:
    """The verdict on a document that is `now` as this says; None: it is not there.

    `later`: images of the document that other jobs made after this one, in their order. They need not be known where
    the document is as the job left it.

    `imaged`: there is an image of the row. Else a receipt names it, which goes out beside the rows, before it is known
    which of them are refused: `force` then takes out only what the job's mark or a later job's image shows as its own.

    `taken_back`: a rollback of the job that wrote what is in the image has taken that back.
    """
    if is_unchanged(image, now):
        return RESTORE
    if image.handed is not None:
        return _kept(image, now, force, f"job {image.handed} has written over it since", image.handed)
    given = next((other for other in later if image.job_id in other.took), None)
    successors = (
        () if given is not None else _successors(image, now, [other for other in later if other.handed is None])
    )
    if given is not None or successors:
        job = (given or successors[-1]).job_id
        verdict = _kept(image, now, force, f"job {job} has written over it since", job)
        return Verdict(verdict.kind, verdict.reason, job, successors, reassigned=True)
    force = force and (imaged or now is None or mark_of(now).job_id == image.job_id)
    live = [other for other in later if other.handed is None]
    if now is None and taken_back and not live:
        # The row was never written, or it found nothing any more: what it had seen before is not to come back.
        return Verdict("restored")
    if now == image.previous and not (now is None and live):
        return Verdict("restored")
    if now is None and image.after is None and not live:
        return RESTORE
    if now is None:
        # Another program may have changed it before the job that deleted it: its rollback brings that back.
        return _kept(image, now, force, "it has been deleted since", live[-1].job_id if live else None)
    writer = mark_of(now).job_id
    if writer and writer != image.job_id:
        return _kept(image, now, force, f"job {writer} has written over it since", writer)
    return _kept(image, now, force, "it has been changed since, by no job", None)


def is_unchanged(image: Image, now: bytes | None) -> bool:
    """Whether the document is as the job left it, and no other job can have come in between."""
    return now is not None and image.after is not None and digest(now) == image.after


def _kept(image: Image, now: bytes | None, force: bool, reason: str, job: str | None) -> Verdict:
    if force:
        return Verdict("restored" if now == image.previous else "restore")
    return Verdict("kept", reason, job)


def _successors(image: Image, now: bytes | None, later: Sequence[Image]) -> tuple[Image, ...]:
    """The images of what was written on top of the job's own write, with what was beneath that."""
    if image.after is not None:
        on_top = [other for other in later if other.previous is not None and digest(other.previous) == image.after]
        return tuple(_with_before_of(image, other) for other in on_top)
    # The job has taken the document out. What made it anew began with nothing, and begins with the before-image now.
    if later and later[0].previous is None:
        return (_with_before_of(image, later[0]),)
    made = later[0].previous if later else now
    if made is None:
        return ()
    mark = mark_of(made)
    before = mark_of(image.previous).job_id if image.previous is not None else ""
    if not mark.job_id or mark.job_id in (image.job_id, before):
        return ()
    # A job that only creates has kept no image of it: it gets one.
    made_by = Image(
        job_id=mark.job_id,
        row=mark.row_number,
        document=image.document,
        order=image.order + 1,
        after=digest(made),
        before=image.before,
        took=(image.job_id,),
        index=image.index,
    )
    return (made_by,)


def _with_before_of(image: Image, other: Image) -> Image:
    return replace(other, before=image.before, seq=-1, took=(*other.took, image.job_id))
