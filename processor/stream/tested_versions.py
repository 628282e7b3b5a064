"""The versions of the libraries that `transport.py` overrides: a change inside them may undo what it relies on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Final

TESTED_VERSIONS: Final[Mapping[str, str]] = {"faust-streaming": "0.15", "aiokafka": "0.14", "mode-streaming": "0.7"}
"""Library -> the series of its versions that the overrides were written for and tested with."""


def untested_libraries(installed: Callable[[str], str] = metadata.version) -> list[str]:
    """A sentence for each library that is installed in a version of another series; `installed` answers its version."""
    found = {name: installed(name) for name in TESTED_VERSIONS}
    return [
        f"{name} {found[name]} is installed, but the worker's changes to this library were tested with {tested} only: "
        f"a rebalance may lose records or deliver them twice; install {name} {tested}"
        for name, tested in TESTED_VERSIONS.items()
        if not f"{found[name]}.".startswith(f"{tested}.")
    ]
