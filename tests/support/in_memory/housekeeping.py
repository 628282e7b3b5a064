"""Housekeeping, as a worker does it."""

from __future__ import annotations

import asyncio

from processor.elastic.bulk import Gate
from processor.erasure.housekeeping import Housekeeping


async def keep_house(keeping: Housekeeping, gate: Gate) -> None:
    """Each of its steps once, all at the same time. Raises FencedError."""
    await asyncio.gather(*(step(gate) for step in keeping.steps().values()))
