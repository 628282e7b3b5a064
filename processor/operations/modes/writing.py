"""Writes the rows of a job in a mode that meets documents which exist. See decision 0033.

The steps of a batch, and what a crash after each leaves:

1. The documents are read. Nothing has happened. Rows that change nothing are done: nothing is written for them.
2. The images of those that will be written over are there. A repeat finds each under the same id, and puts another in
   its place if the document has changed since.
3. The documents are written, on the condition that they are as they were in step 1. A repeat finds its own mark in
   them. Where the condition does not hold, the row begins again at step 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from processor.elastic.answers import Answer
from processor.errors import CannotGoOnError
from processor.operations.modes.decisions import Decision, Row, Rules, twice
from processor.operations.modes.found import Documents, Found, digest
from processor.operations.modes.images import (
    Claim,
    Conditional,
    Image,
    Receipt,
    image_id,
    image_line,
    images_index,
    read_image,
)
from processor.operations.modes.rollback.later import LaterImages
from processor.operations.work import Work

ROUNDS = 10
"""So often a row is decided anew that others keep changing."""

Kept = Image | Claim | Receipt


@dataclass(slots=True)
class Written:
    """What became of the rows of a batch, each by its index."""

    kinds: dict[int, str] = field(default_factory=dict)
    """Of applied rows: created, updated, unchanged or deleted."""
    refused: dict[int, Decision] = field(default_factory=dict)


class _Plan(msgspec.Struct, gc=False):
    """A row in one round: what was found, what is to be done, and the image of it."""

    at: int
    row: Row
    found: Found | None
    decision: Decision
    image: Image
    held: tuple[Kept, Found] | None = None
    """What the index of images has under its id already."""


class Writer:
    """Writes the rows of one batch."""

    def __init__(self, work: Work, documents: Documents, rules: Rules) -> None:
        self._work = work
        self._documents = documents
        self._rules = rules
        self._images = images_index(work.prefix)

    async def write(self, rows: Sequence[Row], reports: Sequence[bytes]) -> Written:
        """Write all rows; the bulk items of `reports` go out with the first request. Raises as `BulkSink.send`."""
        done = Written()
        left = list(range(len(rows)))
        # Rows of the inbox may be newer than what a search sees, which is then not what they are to be compared with.
        # And once a row has an image, nothing tells if the job or someone else has deleted the document.
        seen = self._work.job.source.kind != "topic" and self._rules.mode != "delete"
        while left or reports:
            left = await self._write_all(rows, left, done, reports, seen)
            reports, seen = (), False
        return done

    async def _write_all(
        self, rows: Sequence[Row], left: list[int], done: Written, reports: Sequence[bytes], seen: bool
    ) -> list[int]:
        """Write the rows with these indices; answers those that wait until another row with their key is done.

        `seen`: their documents may first be read as a search sees them.
        """
        waiting: list[int] = []
        made: set[int] = set()
        for _ in range(ROUNDS):
            left = await self._round(rows, left, done, reports, seen, waiting, made)
            reports, seen = (), False
            if not left:
                break
        void = {plan.at for plan in await self._decided(rows, left, done)}
        for at in left:
            if at not in done.kinds and at not in done.refused:
                done.refused[at] = Decision("refused", reason=f"{rows[at].words} is changed by others again and again")
        # Others were faster: of what is there now a row changes nothing, or it is refused.
        void |= {at for at in made if at in done.refused or done.kinds[at] == "unchanged"}
        await self._give_up([rows[at] for at in sorted(void)])
        return sorted(waiting)

    async def _round(
        self,
        rows: Sequence[Row],
        left: list[int],
        done: Written,
        reports: Sequence[bytes],
        seen: bool,
        waiting: list[int],
        made: set[int],
    ) -> list[int]:
        """One round of the rows with these indices; answers those that have to be decided anew. Rows that wait for
        another one are added to `waiting`, those whose image is new to `made`.
        """
        again: list[int] = []
        plans = _first_of_each_key(await self._decided(rows, left, done, again if seen else None), waiting)
        items: list[bytes] = list(reports)
        async with self._work.making:
            items += [self._keep(plan) for plan in plans]
            await asyncio.sleep(0)
        answers = await self._work.sink.send(items, self._work.gate) if items else []
        _require(answers[: len(reports)], "row errors can't be recorded in Elasticsearch")
        made.update(plan.at for plan, answer in zip(plans, answers[len(reports) :], strict=True) if answer.ok)
        plans = await self._kept(plans, answers[len(reports) :], done, again, seen)
        lines = [self._item(plan) for plan in plans]
        answers = await self._work.sink.send(lines, self._work.gate) if lines else []
        void = []
        for plan, answer in zip(plans, answers, strict=True):
            if answer.ok:
                done.kinds[plan.at] = f"{plan.decision.kind}d"
            elif answer.status in (404, 409):
                again.append(plan.at)
            else:
                done.refused[plan.at] = Decision(
                    "refused", reason=f"Elasticsearch refused the row: {answer.error[:500]}"
                )
                void.append(plan.row)
        await self._give_up(void)
        return sorted(again)

    async def _decided(
        self, rows: Sequence[Row], left: Sequence[int], done: Written, unsure: list[int] | None = None
    ) -> list[_Plan]:
        """What is to be written for each row; those that change nothing, are refused, or done already, are noted.

        With `unsure`, documents are read as a search sees them. A row that has come before that changes nothing if its
        document was as it says when the job's epoch had begun; a write has a condition; and rows that would be refused
        are added to `unsure`: they are to be decided by what is there now.
        """
        work, rules = self._work, self._rules
        read = self._documents.get if unsure is None else self._documents.seen
        found = await read(work, work.data_index, [rows[at].document for at in left])
        decided = [(at, there, rules.decide(rows[at], there)) for at, there in zip(left, found, strict=True)]
        if unsure is not None:
            unsure += [at for at, _, decision in decided if decision.kind == "refused"]
            decided = [one for one in decided if one[2].kind != "refused"]
        held = await self._held_for(rows, decided)
        plans = []
        for at, there, decision in decided:
            row = rows[at]
            image = held.get(at)
            if decision.missing and isinstance(image, Image):
                # It has taken this document out: a repeat of the same row, or another row with the same key.
                decision = rules.decide(row, None, deleted=True) if image.row == row.number else twice(row, image.row)
            elif decision.other is not None and isinstance(image, Image) and image.row == decision.other:
                decision = _beside(rules, row, image, decision)
            if decision.kind == "refused":
                done.refused[at] = decision
            elif decision.kind == "unchanged":
                done.kinds[at] = "unchanged"
            elif decision.kind == "done":
                done.kinds[at] = _was(rules, image)
            else:
                plans.append(_Plan(at, row, there, decision, self._image(row, there, decision)))
        return plans

    async def _held_for(
        self, rows: Sequence[Row], decided: Sequence[tuple[int, Found | None, Decision]]
    ) -> dict[int, Kept]:
        """The images of rows that are done, whose key another row of the job has, or whose document may be gone because
        of the job itself."""
        deletes = self._rules.mode == "delete"
        asked = [
            at
            for at, _, decision in decided
            if decision.kind == "done" or decision.other is not None or (deletes and decision.missing)
        ]
        ids = [image_id(self._rules.job_id, rows[at].document) for at in asked]
        found = await self._documents.get(self._work, self._images, ids)
        return {at: read_image(there.raw) for at, there in zip(asked, found, strict=True) if there is not None}

    def _image(self, row: Row, found: Found | None, decision: Decision) -> Image:
        job = self._work.job
        return Image(
            job_id=job.id,
            row=row.number,
            document=row.document,
            order=job.command_offset,
            after=digest(decision.line) if decision.line is not None else None,
            before=msgspec.Raw(found.raw if found is not None else b"null"),
            seq=found.seq if found is not None else -1,
        )

    def _keep(self, plan: _Plan) -> bytes:
        target = Conditional(self._images, image_id(self._rules.job_id, plan.row.document))
        if plan.held is not None:
            target = Conditional(target.index, target.id, plan.held[1].seq, plan.held[1].term)
        return target.write(image_line(plan.image))

    async def _kept(
        self, plans: Sequence[_Plan], answers: Sequence[Answer], done: Written, again: list[int], seen: bool
    ) -> list[_Plan]:
        """The plans whose image is kept; of the others the row is refused, or is to be decided `again`."""
        kept = [plan for plan, answer in zip(plans, answers, strict=True) if answer.ok]
        held = [plan for plan, answer in zip(plans, answers, strict=True) if not answer.ok]
        if not held:
            return kept
        for answer in answers:
            if not answer.ok and answer.status != 409:
                raise CannotGoOnError(f"a before-image can't be kept in Elasticsearch: {answer.error}")
        ids = [image_id(self._rules.job_id, plan.row.document) for plan in held]
        found = await self._documents.get(self._work, self._images, ids)
        replaced = []
        for plan, there in zip(held, found, strict=True):
            if there is None:
                again.append(plan.at)
                continue
            image = read_image(there.raw)
            if (owner := _row_of(image)) != plan.row.number:
                done.refused[plan.at] = twice(plan.row, owner)
            elif _same(image, plan.image):
                kept.append(plan)
            elif seen:
                again.append(plan.at)  # the image may be of a newer document than a search sees
            else:
                # The document has changed since that image was made, and was not written: it could not have been.
                plan.held = (image, there)
                replaced.append(plan)
        # Where a later job has written over what an earlier try of the row wrote, it takes over what was there before.
        stale = [plan.held[0] for plan in replaced if plan.held is not None and isinstance(plan.held[0], Image)]
        await LaterImages(self._work, self._documents).hand_down(stale)
        items = [self._keep(plan) for plan in replaced]
        for plan, answer in zip(replaced, await self._documents.send(self._work, items), strict=True):
            if answer.ok:
                kept.append(plan)
            else:
                again.append(plan.at)
        return kept

    def _item(self, plan: _Plan) -> bytes:
        index, document = self._work.data_index, plan.row.document
        there = plan.found
        target = Conditional(index, document) if there is None else Conditional(index, document, there.seq, there.term)
        return target.delete() if plan.decision.line is None else target.write(plan.decision.line)

    async def _give_up(self, rows: Sequence[Row]) -> None:
        """Rows whose images are there, and that are refused all the same: there is nothing to undo."""
        ids = [image_id(self._rules.job_id, row.document) for row in rows]
        found = await self._documents.get(self._work, self._images, ids)
        items = [
            Conditional(self._images, key, there.seq, there.term).delete()
            for key, row, there in zip(ids, rows, found, strict=True)
            if there is not None and _row_of(read_image(there.raw)) == row.number
        ]
        _require(
            [answer for answer in await self._documents.send(self._work, items) if answer.status not in (404, 409)],
            "an image stays",
        )


def _first_of_each_key(plans: Sequence[_Plan], waiting: list[int]) -> Sequence[_Plan]:
    """Those that come first with their key; the indices of the others are added to `waiting`."""
    first: dict[str, _Plan] = {}
    for plan in plans:
        first.setdefault(plan.row.document, plan)
    waiting += [plan.at for plan in plans if first[plan.row.document] is not plan]
    return list(first.values())


def _beside(rules: Rules, row: Row, image: Image, decision: Decision) -> Decision:
    """The decision on a row whose key another row has, with this image: one that says what was there before the job
    changes nothing, whichever of the two comes first."""
    if image.previous is None:
        return decision
    before = rules.decide(row, Found(image.before, image.seq, 0))
    return before if before.kind == "unchanged" else decision


def _was(rules: Rules, image: Kept | None) -> str:
    """What a row did that is done already."""
    if rules.mode == "delete":
        return "deleted"
    return "created" if isinstance(image, Image) and image.previous is None else "updated"


def _row_of(image: Kept) -> int:
    match image:
        case Image():
            return image.row
        case Claim():
            return image.unchanged
        case Receipt():
            return 0


def _same(image: Kept, wanted: Image) -> bool:
    """Whether an image of an earlier try has what this one would have; the job's state may have moved on since."""
    return isinstance(image, Image) and (image.after, image.previous, image.seq) == (
        wanted.after,
        wanted.previous,
        wanted.seq,
    )


def _require(answers: Sequence[Answer], problem: str) -> None:
    for answer in answers:
        if not answer.ok:
            raise CannotGoOnError(f"{problem}: {answer.error}")
