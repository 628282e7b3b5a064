"""A plan that a reader has received: it waits for a slot, has one, or has left it to another organisation's plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingest.plan_run import PlanRun, Stage
from ingest.slots import Held
from schemas.job import Input
from schemas.messages.plans import Plan

SLOT_SECONDS: Final = 5.0
"""How long a plan keeps its slot where other organisations have none, and none has two."""
MOST_PATIENCE: Final = 2**10
"""How many times as long a plan that publishes nothing keeps its slot, at most."""


@dataclass(slots=True, eq=False)
class PendingPlan:
    """A plan that the reader has received, and the work on it once that has begun. Times are seconds of any steady
    clock."""

    plan: Plan
    partition: int
    offset: int
    trace: str | None = None
    """The ``traceparent`` that it came with."""
    work: PlanRun | None = None
    organisation: str = ""
    leaving: bool = False
    """It leaves its slot to another organisation's plan, and goes on later."""
    reached: Input | None = None
    """How far it had come when it left its slot."""
    began_at: float = 0.0
    """When it got the slot that it has."""
    patience: int = 1
    """How many times as long it keeps a slot until Kafka has a block: more each time that this was not long enough."""

    @property
    def reading(self) -> bool:
        """Whether it has blocks to read."""
        return self.work is not None and self.work.stage is Stage.READING

    def held(self, now: float) -> Held:
        """The slot that it has."""
        advanced = self.work is not None and self.work.has_advanced
        term = SLOT_SECONDS * (1 if advanced else self.patience)
        return Held(self.organisation, now >= self.began_at + term, advanced)

    def begin(self, work: PlanRun, now: float) -> None:
        """It has a slot."""
        self.work, self.began_at = work, now

    def leave(self, now: float) -> None:
        """Read no more blocks for now. Once Kafka has what is published, `left` follows."""
        if self.work is not None:
            if self.held(now).expired:
                self.patience = min(self.patience * 2, MOST_PATIENCE)
            self.leaving = True
            self.work.stop()

    def left(self, work: PlanRun) -> None:
        """It has left its slot, and goes on where it was when it has one again."""
        if work.has_advanced:
            self.patience = 1
        self.reached, self.work, self.leaving = work.covered, None, False
