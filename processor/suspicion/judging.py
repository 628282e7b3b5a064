"""What the first rows of a file look like beside what they should be. Pure."""

from __future__ import annotations

from processor.suspicion.known_rows import exchanged_with_known
from processor.suspicion.likeness import unlike_own_rows
from processor.suspicion.probe import OwnRows, Probe
from processor.suspicion.refused_rows import refused_rows
from processor.suspicion.row_shifts import shifted_rows
from processor.suspicion.years import wrong_years
from schemas.suspicion import Suspicion

LEAST_GOOD = 0.5
"""A file of which fewer rows are good says too little of what its good rows are like."""


def suspicion_of(probe: Probe, own: OwnRows) -> Suspicion | None:
    """The first accident that the rows look like; None: they look like none."""
    refused = refused_rows(probe, own)
    if refused is not None:
        return refused
    if len(probe.numbers) < LEAST_GOOD * (len(probe.rows) + len(probe.misfits)):
        return None
    found = exchanged_with_known(probe, own) or unlike_own_rows(probe, own)
    return found or shifted_rows(probe, own) or wrong_years(probe, own)
