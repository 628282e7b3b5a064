"""`python -m tests.faults.dying_ingest STEP COUNT`: a reader that kills itself (-9) at the COUNT-th time of a STEP.

The step is a call of the transactional producer; with a `+` behind its name, right after the call has returned.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from ingest.__main__ import main
from ingest.inbox import transactions


class Mortal:
    """A producer with an hour of death."""

    def __init__(self, producer: Any, step: str, count: int) -> None:
        self._producer = producer
        self._step, self._after = step.rstrip("+"), step.endswith("+")
        self._left = count

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._producer, name)
        if name != self._step:
            return real

        def call(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*args, **more)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def start() -> None:
    step, count = sys.argv[1], int(sys.argv[2])
    real = transactions.Producer
    transactions.Producer = lambda config: Mortal(real(config), step, count)  # type: ignore[assignment, misc]
    main()


if __name__ == "__main__":
    start()
