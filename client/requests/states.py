"""What the states of a job mean for those who wait for it. The states are the server's; a test compares the sets."""

from __future__ import annotations

from typing import Final

ENDED: Final = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK"})
"""States in which a job has ended: only a rollback, or corrected rows, bring more work."""
RESTING: Final = ENDED | {"DRAFT", "QUEUED", "PAUSED", "ROLLBACK_PAUSED", "FAILED"}
"""States that stay until someone acts (QUEUED: until the job before it has ended)."""


def at_rest(state: str) -> bool:
    """Whether a job in this state stays as it is until someone acts. A state that only a newer server has does not."""
    return state in RESTING
