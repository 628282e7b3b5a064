"""Python's regular expressions as those of a browser, which has no possessive repeats and other names for a few things.

The result may match a text that the original does not, never the other way round: a cell that it refuses is bad.
"""

from __future__ import annotations

import re
from typing import Final

_CLASSES: Final = {
    "d": r"\p{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r" \t\n\r\f\v\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
_ASCII: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\f\v"}
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")
_SAME: Final = frozenset("nrtfv")
_REPEAT: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_GROUP: Final = re.compile(r"\(\?(?:P<(?P<name>[A-Za-z_]\w*)>|P=(?P<same>[A-Za-z_]\w*)\)|(?P<kind>:|=|!|<=|<!|>))")
_REFUSED_FLAGS: Final = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE


class _UntoldError(Exception):
    """The pattern has something that a browser does not know."""


def browser_pattern(pattern: re.Pattern[str]) -> str | None:
    """The source of the pattern with the flag ``u``, for JavaScript; None: it can't be said there."""
    if pattern.flags & _REFUSED_FLAGS:
        return None
    try:
        return _outside(pattern.pattern, _ASCII if pattern.flags & re.ASCII else _CLASSES)
    except (_UntoldError, IndexError):
        return None


def _outside(text: str, classes: dict[str, str]) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            part, at = _escaped(text, at + 1, classes, within=False)
        elif sign == "[":
            part, at = _set(text, at + 1, classes)
        elif text.startswith("(?", at):
            part, at = _group(text, at)
        elif sign in "*+?{":
            part, at = _repeat(text, at)
        elif sign == ".":
            part, at = r"[^\n]", at + 1
        else:
            part, at = (f"\\{sign}" if sign in "]}" else sign), at + 1
        parts.append(part)
    return "".join(parts)


def _group(text: str, at: int) -> tuple[str, int]:
    found = _GROUP.match(text, at)
    if found is None:
        raise _UntoldError
    if found["name"]:
        return f"(?<{found['name']}>", found.end()
    if found["same"]:
        return rf"\k<{found['same']}>", found.end()
    return ("(?:" if found["kind"] == ">" else f"(?{found['kind']}"), found.end()


def _repeat(text: str, at: int) -> tuple[str, int]:
    if text[at] == "{":
        found = _REPEAT.match(text, at)
        if found is None or not (found[1] or found[2]):
            return r"\{", at + 1
        part, at = f"{{{found[1] or 0}{found[2]}{found[3]}}}", found.end()
    else:
        part, at = text[at], at + 1
    if text.startswith("+", at):  # possessive
        return part, at + 1
    return (f"{part}?", at + 1) if text.startswith("?", at) else (part, at)


def _escaped(text: str, at: int, classes: dict[str, str], *, within: bool) -> tuple[str, int]:
    """The escape whose sign after the backslash is at `at`."""
    sign = text[at]
    if sign in classes:
        return (classes[sign] if within else f"[{classes[sign]}]"), at + 1
    if sign.lower() in classes and not within:
        return f"[^{classes[sign.lower()]}]", at + 1
    if (code := _CODE.match(text, at)) is not None:
        return f"\\u{{{int(code[1] or code[2] or code[3], 16):x}}}", code.end()
    if sign in _SAME or (sign in "123456789" and not within):
        return f"\\{sign}", at + 1
    if sign in "AZ" and not within:
        return ("^" if sign == "A" else "$"), at + 1
    if sign.isalnum():
        raise _UntoldError
    return (f"\\{sign}" if sign in _SYNTAX or (within and sign == "-") else sign), at + 1


def _set(text: str, at: int, classes: dict[str, str]) -> tuple[str, int]:
    """The set whose first sign is at `at`."""
    parts = ["["]
    if text[at] == "^":
        parts.append("^")
        at += 1
    first = at
    while text[at] != "]" or at == first:
        if text[at] == "\\":
            part, at = _escaped(text, at + 1, classes, within=True)
        elif text[at] == "-":
            last = at == first or text[at + 1] == "]"
            part, at = (r"\-" if last else "-"), at + 1
        else:
            part, at = (f"\\{text[at]}" if text[at] in _SYNTAX else text[at]), at + 1
        parts.append(part)
    return f"{''.join(parts)}]", at + 1
