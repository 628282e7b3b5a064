"""Writes the rows of a job in a mode that meets documents which exist. See decision 0033.

The steps of a batch, or of each portion of it (decision 0095), and what a crash after each leaves:

1. The documents are read. Nothing has happened. Rows that change nothing are done: nothing is written for them.
2. The images of those that will be written over are there. A repeat finds the groups under the same ids, and keeps
   another image beside one if the document has changed since.
3. The documents are written, on the condition that they are as they were in step 1. A repeat finds its own mark in
   them. Where the condition does not hold, the row begins again at step 1.

A crash between portions leaves rows that are done, and others that have not begun. A repeat may have other portions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from processor.elastic.conditional import Conditional
from processor.operations.modes.decisions import Decision, Row, Rules, twice
from processor.operations.modes.found import Documents, Found, digest
from processor.operations.modes.images import Image
from processor.operations.modes.keeping import Keeper, Kept, PlannedWrite, Round
from processor.operations.work import Work
from processor.validation import error_kinds
from schemas.messages.blocks import RowBlock

ROUNDS = 10
"""How often the worker decides on a row again whose document others keep changing."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The documents of some rows."""

    found: Sequence[Found | None]
    seen: bool = False
    """They are as a search sees them, and may have changed since."""


@dataclass(slots=True)
class Written:
    """What became of the rows of a batch, each by its index."""

    kinds: dict[int, str] = field(default_factory=dict)
    """Index of an applied row -> created, updated, unchanged or deleted."""
    refused: dict[int, Decision] = field(default_factory=dict)


class Writer:
    """Writes the rows of one batch."""

    def __init__(self, work: Work, documents: Documents, rules: Rules, blocks: Sequence[RowBlock]) -> None:
        self._work = work
        self._documents = documents
        self._rules = rules
        self._keeper = Keeper(work, documents, blocks)

    async def write(self, rows: Sequence[Row], reports: Sequence[bytes]) -> Written:
        """Write all rows; the bulk items of `reports` go out with the first request. Raises as `BulkSink.send`."""
        done = Written()
        left = list(range(len(rows)))
        # Rows of the inbox may be newer than what a search sees, which is then not what they are to be compared with.
        # And once a row has an image, nothing tells if the job or someone else has deleted the document.
        seen = self._work.job.source.kind != "topic" and self._rules.mode != "delete"
        while left or reports:
            some = left[: self._documents.rows_at_once(self._work)]
            found = await self._documents.of_rows(self._work, [rows[at].document for at in some], seen=seen)
            waiting = await self._write_all(rows, some[: len(found)], _Read(found, seen), done, reports)
            while waiting:
                waiting = await self._write_all(rows, waiting, None, done, ())
            left, reports = left[len(found) :], ()
        return done

    async def _write_all(
        self, rows: Sequence[Row], left: list[int], read: _Read | None, done: Written, reports: Sequence[bytes]
    ) -> list[int]:
        """Write the rows with these indices; answers those that wait until another row with their key is done.

        `read`: their documents; None: they are not read yet.
        """
        waiting: list[int] = []
        now = Round([], done.refused, set())
        for _ in range(ROUNDS):
            now.again = []
            await self._round(rows, left, read, done, reports, waiting, now)
            left = sorted(now.again)
            reports, read = (), None
            if not left:
                break
        void = {write.at for write in await self._decided(rows, left, done, now)}
        for at in left:
            if at not in done.kinds and at not in done.refused:
                done.refused[at] = Decision("refused", reason=f"{rows[at].words} is changed by others again and again")
        # Others were faster: of what is there now a row changes nothing, or it is refused.
        void |= {at for at in now.made if at in done.refused or done.kinds[at] == "unchanged"}
        await self._keeper.give_up([rows[at] for at in sorted(void)])
        return sorted(waiting)

    async def _round(
        self,
        rows: Sequence[Row],
        left: list[int],
        read: _Read | None,
        done: Written,
        reports: Sequence[bytes],
        waiting: list[int],
        now: Round,
    ) -> None:
        """One round of the rows with these indices. Rows that wait for another one are added to `waiting`."""
        writes = _first_of_each_key(await self._decided(rows, left, done, now, read), waiting)
        writes = await self._keeper.keep(writes, reports, now, read is not None and read.seen)
        lines = [self._item(write) for write in writes]
        answers = await self._work.sink.send(lines, self._work.gate) if lines else []
        void = []
        for write, answer in zip(writes, answers, strict=True):
            if answer.ok:
                done.kinds[write.at] = f"{write.decision.kind}d"
            elif answer.status in (404, 409):
                now.again.append(write.at)
            else:
                done.refused[write.at] = Decision("refused", reason=error_kinds.refused(answer.error))
                void.append(write.row)
        await self._keeper.give_up(void)

    async def _decided(
        self, rows: Sequence[Row], left: Sequence[int], done: Written, now: Round, read: _Read | None = None
    ) -> list[PlannedWrite]:
        """What is to be written for each row; those that change nothing, are refused, or done already, are noted.

        If documents are as a search sees them, a row that has come before that changes nothing where its document was
        as it says when the job's epoch had begun; a write has a condition; and rows that would be refused are to be
        decided once more, by what is there now.
        """
        work, rules = self._work, self._rules
        if read is None:
            read = _Read(await self._documents.get(work, work.data_index, [rows[at].document for at in left]))
        found = read.found
        decided = [(at, there, rules.decide(rows[at], there)) for at, there in zip(left, found, strict=True)]
        if read.seen:
            now.again += [at for at, _, decision in decided if decision.kind == "refused"]
            decided = [one for one in decided if one[2].kind != "refused"]
        held = await self._held_for(rows, decided, now)
        writes = []
        for at, there, decision in decided:
            row = rows[at]
            image = held.get(at)
            if decision.missing and isinstance(image, Image):
                # The job has taken this document out: this is a repeat of the same row, or another row with the same
                # key.
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
                writes.append(PlannedWrite(at, row, there, decision, self._image(row, there, decision)))
        return writes

    async def _held_for(
        self, rows: Sequence[Row], decided: Sequence[tuple[int, Found | None, Decision]], now: Round
    ) -> dict[int, Kept]:
        """The images of rows that are done, whose key another row of the job has, or whose document may be gone because
        of the job itself."""
        deletes = self._rules.mode == "delete"
        asked = [
            (at, rows[at], decision.other)
            for at, _, decision in decided
            if decision.kind == "done" or decision.other is not None or (deletes and decision.missing)
        ]
        return await self._keeper.held(asked, now)

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
            index=self._work.data_index,
        )

    def _item(self, write: PlannedWrite) -> bytes:
        index, document = self._work.data_index, write.row.document
        there = write.found
        target = Conditional(index, document) if there is None else Conditional(index, document, there.seq, there.term)
        return target.delete() if write.decision.line is None else target.write(write.decision.line)


def _first_of_each_key(writes: Sequence[PlannedWrite], waiting: list[int]) -> Sequence[PlannedWrite]:
    """The writes that come first with their key; adds the indices of the others to `waiting`."""
    first: dict[str, PlannedWrite] = {}
    for write in writes:
        first.setdefault(write.row.document, write)
    waiting += [write.at for write in writes if first[write.row.document] is not write]
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
