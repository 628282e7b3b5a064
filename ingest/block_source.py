"""What a source of blocks yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.job import Input
from schemas.messages.blocks import Block


@dataclass(frozen=True, slots=True)
class Step:
    """One block, and the input up to its end. Without a block: what is known of the input before the first one."""

    block: Block | None
    after: Input


@dataclass(frozen=True, slots=True)
class Waiting:
    """The source waits for another server's answer and has no block meanwhile."""

    problem: str | None = None
    """What an operator is to know of that."""


WAITING: Final = Waiting()
