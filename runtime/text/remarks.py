"""Remarks that rich draws: bars, colours, a line that changes. They go to stderr, as those of `say`."""

from __future__ import annotations

from typing import Any

from rich.console import Console


class Remarks(Console):
    """A console on stderr. Once the reader of a pipe has closed it, remarks are lost and the command goes on."""

    def __init__(self, **options: Any) -> None:
        """`options` as of rich's Console."""
        super().__init__(stderr=True, **options)

    def on_broken_pipe(self) -> None:
        """Called by rich, which would end the program otherwise."""
        self.quiet = True
