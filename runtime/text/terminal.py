"""Text on its way to a terminal. Data may hold escape codes: they are shown, and never reach the terminal as such."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from typing import Any, Final

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]",
)
"""Control characters, those that change a line's direction or take no room, and halves of characters."""
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """Text as one line that is safe to show: a control character as ``\\x1b``, a byte that is no UTF-8 as ``\\xff``."""
    return _UNSEEN.sub(_escape, text)


def out(text: str = "") -> None:
    """Print a line of the command's result on stdout, as `write_line` does."""
    write_line(visible(text))


def out_at_once(text: str) -> None:
    """Print a line of a result that has no end.

    Raises:
        BrokenPipeError: its reader has closed the pipe.
    """
    print(visible(text), flush=True)


def out_json(value: Any) -> None:
    """Print one JSON document on stdout, exact: characters that a terminal would act on are escaped as in JSON."""
    # Other than UTF-8 streams can't take all characters.
    plain = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    text = json.dumps(value, indent=2, ensure_ascii=plain)
    write_line("\n".join(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")))


def write_line(text: str) -> None:
    """Print text that is safe to show on stdout.

    It is lost if the reader has closed the pipe, as in `sluice jobs | head`: the command goes on, and ends with its own
    exit code.
    """
    try:
        print(text)
    except BrokenPipeError:
        give_up_stdout()


def give_up_stdout() -> None:
    """Discard the rest of the output: Python writes it when it exits, and would report an error."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def say(text: str) -> None:
    """Print a remark on stderr; it is lost if stderr can't be written."""
    with contextlib.suppress(OSError):
        print(visible(text), file=sys.stderr, flush=True)


def width() -> int | None:
    """How many columns stdout has; None where it is no terminal, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _escape(found: re.Match[str]) -> str:
    character, code = found[0], ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of an argument or a file's name that is no UTF-8
        code -= 0xDC00
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
