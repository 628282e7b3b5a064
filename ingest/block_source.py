"""What a source of blocks yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.blocks import Block
from schemas.job import Input


@dataclass(frozen=True, slots=True)
class Step:
    """One block, and how far the source has been read with it. No block: this much is known before the first."""

    block: Block | None
    after: Input


class Waiting:
    """There is nothing to do until someone else has answered."""


WAITING: Final = Waiting()
