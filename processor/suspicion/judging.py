"""What the first rows of a file look like beside what they should be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.known_rows import exchanged_with_known, own_sample
from processor.suspicion.likeness import profiles_of, unlike_own_rows
from processor.suspicion.pairs import telling_pairs
from processor.suspicion.refused_rows import refused_rows
from processor.suspicion.row_shifts import MOST_COLUMNS, shifted_rows
from processor.suspicion.words_within import shares, word_columns
from processor.suspicion.years import DATES, own_dates, wrong_years
from schemas.descriptors.datasets import Dataset
from schemas.suspicion import Suspicion

LEAST_GOOD = 0.5
"""A file of which fewer rows are good says too little of what its good rows are like."""


def learn(own: OwnRows, dataset: Dataset, names: Sequence[str]) -> None:
    """Make of the own rows what `suspicion_of` will want of them for a file with these fields, before it is here."""
    names = [name for name in names if name in own.columns]
    if not own.rows or not names:
        return
    profiles_of(own, names)
    own_sample(own)
    some = names[:MOST_COLUMNS]
    telling_pairs(own, some)
    shares(own, word_columns(dataset, some))
    for field in dataset.fields:
        if field.name in names and field.type in DATES:
            own_dates(own, field.name)


@dataclass(frozen=True, slots=True)
class Looks:
    """What the rows look like without own rows of the same key, which may still be looked for."""

    refused: Suspicion | None
    """Why the checks refuse them."""
    enough: bool
    """Whether the rows that they take tell what the file is like."""
    unlike: Suspicion | None
    """Columns that look like others' own rows."""


def looks_of(first_rows: FirstRows, own: OwnRows) -> Looks:
    """The part of `suspicion_of` that needs no `own.found`."""
    refused = refused_rows(first_rows, own)
    enough = len(first_rows.numbers) >= LEAST_GOOD * (len(first_rows.rows) + len(first_rows.misfits))
    unlike = unlike_own_rows(first_rows, own) if enough and refused is None else None
    return Looks(refused, enough, unlike)


def suspicion_of(first_rows: FirstRows, own: OwnRows, looks: Looks | None = None) -> Suspicion | None:
    """The first accident that the rows look like; None: they look like none. `looks`: what `looks_of` says of them."""
    looks = looks or looks_of(first_rows, own)
    if looks.refused is not None or not looks.enough:
        return looks.refused
    found = exchanged_with_known(first_rows, own) or looks.unlike
    return found or shifted_rows(first_rows, own) or wrong_years(first_rows, own)
