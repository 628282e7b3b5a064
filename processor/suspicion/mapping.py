"""The option ``columns`` of a job that puts columns back into their places. Pure."""

from __future__ import annotations

from processor.suspicion.first_rows import FirstRows
from processor.suspicion.rearrangements import Rearrangement
from schemas.suspicion import MOST_NAMED


def mapping_of(first_rows: FirstRows, found: Rearrangement) -> dict[str, str | None] | None:
    """Column of the file -> the field that its values belong to, with what the job said of other columns.

    None: it would be too long, or what the file calls a column is not known.
    """
    wanted = dict(first_rows.asked)
    for place, meant in found.moved:
        name = first_rows.headers.get(place)
        if name is None:
            return None
        wanted[name] = first_rows.fields.get(meant)
    return wanted if len(wanted) <= MOST_NAMED else None
