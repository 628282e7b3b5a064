"""Documents under their dataset's key: created, never overwritten, so that a key is taken once within its scope."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from processor.elastic.answers import DONE, Answer
from processor.elastic.reading import get_docs
from processor.operations.work import Work
from processor.validation import error_kinds
from processor.validation.rows import CheckedRows

_DIGEST = re.compile("[0-9a-f]{32}")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of some good rows, in order."""

    ids: list[str]
    """Document ids: the same for the same key in the same scope."""
    numbers: list[int]
    """Row numbers."""
    names: tuple[str, ...]
    """The fields of the key."""
    values: list[tuple[Any, ...]]
    """The values of each key."""

    def words(self, place: int) -> str:
        """A key as its error names it."""
        return words_of(self.names, self.values[place])


def words_of(names: Sequence[str], key: Sequence[Any]) -> str:
    """A key as an error names it."""
    return f"{' and '.join(names)} {', '.join(map(str, key))!r}"


def key_id(scope: str, key: Sequence[object]) -> str:
    """The document id of a key; `scope` is an organisation or a job."""
    text = str(key[0]) if len(key) == 1 else msgspec.json.encode([str(part) for part in key]).decode()
    return f"{scope}:{sha256(text.encode()).hexdigest()[:32]}"


def is_key_id(scope: str, document_id: str) -> bool:
    """Whether a document's id is one that `key_id` makes in this scope."""
    head, _, digest = document_id.rpartition(":")
    return head == scope and _DIGEST.fullmatch(digest) is not None


def keys_of(work: Work, scope: str, checked: Sequence[CheckedRows]) -> Keys:
    """The keys of all good rows."""
    names = work.dataset.primary_key
    keys = Keys([], [], names, [])
    for rows in checked:
        own = list(zip(*(rows.stored[rows.columns.index(name)] for name in names), strict=True))
        keys.ids.extend([key_id(scope, key) for key in own])
        keys.values.extend(own)
        keys.numbers.extend(rows.numbers)
    return keys


async def judge(work: Work, index: str, keys: Keys, answers: Sequence[Answer]) -> list[Answer]:
    """`answers` (one to each of `keys`), with those set right that met a document of the same key.

    A document that the job wrote before, from the same row, is its own; any other makes the row an error that names it.
    """
    judged = list(answers)
    taken = [place for place, answer in enumerate(answers) if answer.status == 409]
    if not taken:
        return judged
    owners = await find_owners(work, index, [keys.ids[place] for place in taken])
    for place, owner in zip(taken, owners, strict=True):
        if owner is None or owner.get("job_id") != work.job.id:
            judged[place] = Answer(409, error_kinds.exists(keys.words(place), _job_of(owner)))
        elif owner.get("row_number") != keys.numbers[place]:
            judged[place] = Answer(409, error_kinds.repeated(keys.words(place), owner.get("row_number")))
        else:
            judged[place] = DONE
    return judged


async def refuse_existing(work: Work, index: str, keys: Keys, answers: Sequence[Answer]) -> list[Answer]:
    """`answers` (one to each of `keys`), with those made errors whose key a document of `index` has."""
    owners = await find_owners(work, index, keys.ids) if keys.ids else []
    return [
        answer if owner is None else Answer(409, error_kinds.exists(keys.words(place), _job_of(owner)))
        for place, (owner, answer) in enumerate(zip(owners, answers, strict=True))
    ]


async def find_owners(work: Work, index: str, ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """For each document id: the job and row that wrote the document (None: there is none), refreshed or not."""
    docs = await get_docs(work.sink, work.gate, index, ids, source_includes="sluice")
    return [_decode(doc.source).get("sluice", {}) if doc.found else None for doc in docs]


def _job_of(owner: dict[str, Any] | None) -> str | None:
    return owner.get("job_id") if owner else None
