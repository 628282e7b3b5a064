"""Teams: each row creates a document under the dataset's own key. What exists already is never overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, cast

from control.admission import Kind
from processor.bulk import DONE, Answer
from processor.documents import document_lines
from processor.errors import CannotGoOnError
from processor.lane import Outcome
from processor.operations.base import Result, Work
from processor.operations.upload import Upload
from processor.rows import CheckedRows
from schemas.blocks import Block, UndoBlock
from schemas.indices import data_index

PAGE = 5000


def key_id(organisation: str, key: Sequence[object]) -> str:
    """The document id of a key: the same for the same values in the same organisation."""
    text = "\x1f".join(str(part) for part in key)
    return f"{organisation}:{sha256(text.encode()).hexdigest()[:32]}"


class Teams(Upload):
    """Creates each team once per organisation; a team that exists is a row error that names it."""

    name = "teams"
    kind = Kind(sources=frozenset({"file"}), dataset="teams")

    def _items(self, work: Work, rows: CheckedRows) -> list[bytes]:
        index, ids = data_index(work.prefix, work.dataset.name), self._ids(work, rows)
        return document_lines(index, work.job.id, work.job.organisation, rows.columns, rows.numbers, rows.values, ids)

    def _ids(self, work: Work, rows: CheckedRows) -> list[str]:
        places = [rows.columns.index(name) for name in work.dataset.primary_key]
        return [key_id(work.job.organisation, [values[place] for place in places]) for values in rows.values]

    async def _judge(self, work: Work, checked: Sequence[CheckedRows], answers: Sequence[Answer]) -> Sequence[Answer]:
        """Of those that exist already, the ones we wrote before, from the same row, are done; the others are errors."""
        if work.job.options.dry_run:
            return answers
        judged = list(answers)
        ids = [item for rows in checked for item in self._ids(work, rows)]
        numbers = [number for rows in checked for number in rows.numbers]
        keys = [
            ", ".join(str(values[rows.columns.index(name)]) for name in work.dataset.primary_key)
            for rows in checked
            for values in rows.values
        ]
        taken = [place for place in range(len(ids)) if answers[place].status == 409]  # the rows come before the errors
        if not taken:
            return judged
        found = await work.sink.ask(
            lambda: work.sink.client.mget(
                index=data_index(work.prefix, work.dataset.name),
                ids=[ids[place] for place in taken],
                source_includes="sluice",
            ),
            work.gate,
        )
        for place, document in zip(taken, found.body["docs"], strict=True):
            owner: dict[str, Any] = document.get("_source", {}).get("sluice", {})
            what = f"{' and '.join(work.dataset.primary_key)} {keys[place]!r}"
            if owner.get("job_id") != work.job.id:
                by = f" (created by job {owner['job_id']})" if owner else ""
                judged[place] = Answer(409, f"{what} exists already{by}")
            elif owner.get("row_number") != numbers[place]:
                judged[place] = Answer(409, f"{what} is in row {owner.get('row_number')} of the file already")
            else:
                judged[place] = DONE
        return judged

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. Ids follow from values that are not at hand: what this job wrote is searched by its rows."""
        outcomes = []
        for block in blocks:
            first, last = block.first_row, cast(UndoBlock, block).last_row
            outcomes.append(Outcome(undone=await self._undo_rows(work, first, last), last_row=last))
        return Result(outcomes)

    async def _undo_rows(self, work: Work, first: int, last: int) -> int:
        index = data_index(work.prefix, work.dataset.name)
        sink = work.sink
        rows = {"range": {"sluice.row_number": {"gte": first, "lte": last}}}
        await sink.ask(lambda: sink.client.indices.refresh(index=index), work.gate)
        found = await sink.ask(
            lambda: sink.client.search(
                index=index,
                size=min(PAGE, last - first + 1),
                seq_no_primary_term=True,
                source=False,
                query={"bool": {"filter": [{"term": {"sluice.job_id": work.job.id}}, rows]}},
            ),
            work.gate,
        )
        # The sequence number makes sure that it is the very document that was found.
        items = [
            b'{"delete":{"_index":"%b","_id":"%b","if_seq_no":%d,"if_primary_term":%d}}'
            % (index.encode(), hit["_id"].encode(), hit["_seq_no"], hit["_primary_term"])
            for hit in found.body["hits"]["hits"]
        ]
        if not items:
            return 0
        answers = await work.sink.send(items, work.gate)
        for answer in answers:
            if not answer.ok and answer.status not in (404, 409):
                raise CannotGoOnError(f"a row can't be taken out: {answer.error}")
        return sum(answer.ok for answer in answers)
