"""Ctrl-C while a program imports its modules, or ends: a sentence, where Python would print a traceback.

This module imports next to nothing, since a program calls it before it imports anything else.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""
WORD: Final = "interrupted"


def end_when_interrupted() -> None:
    """Have SIGINT end the process at once with a sentence, until `raise_when_interrupted` is called.

    Nothing changes where SIGINT is ignored, as in a shell's background, or where the process has a handler of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_when_interrupted() -> bool:
    """Have SIGINT raise KeyboardInterrupt again; whether `end_when_interrupted` had been called."""
    if signal.getsignal(signal.SIGINT) is not _end:
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return True


def _end(_number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, f"sluice: {WORD}\n".encode())
    finally:
        os._exit(INTERRUPTED)
