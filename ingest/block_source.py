"""What a source of blocks yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.blocks import Block
from schemas.job import Input


@dataclass(frozen=True, slots=True)
class Step:
    """One block, and the input up to its end. Without a block: what is known of the input before the first one."""

    block: Block | None
    after: Input


class Waiting:
    """The source waits for another server's answer and has no block meanwhile."""


WAITING: Final = Waiting()
