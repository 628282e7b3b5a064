"""Parts of Markdown pages that programs make: tables, and sections between two marks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

END: Final = "<!-- end of what is made -->"


@dataclass(frozen=True, slots=True)
class MadeSection:
    """A section of a page that a command writes; all else of the page is written by hand."""

    name: str
    command: str

    @property
    def begin(self) -> str:
        """The line in front of the section."""
        return f"<!-- {self.name}: made by `{self.command}` -->"

    def text(self, page: str) -> str:
        """What the section says. Raises ValueError: as `put`."""
        return self._divided(page)[1].strip()

    def put(self, page: str, text: str) -> str:
        """The page with this text in the section.

        Raises:
            ValueError: the page does not have the section's first line once, with `END` behind it.
        """
        before, _, after = self._divided(page)
        return f"{before}{self.begin}\n\n{text.strip()}\n\n{END}{after}"

    def _divided(self, page: str) -> tuple[str, str, str]:
        before, *rest = page.split(self.begin)
        if len(rest) != 1 or END not in rest[0]:
            raise ValueError(f"the page must have the lines {self.begin} and {END}, in this order, the first one once")
        text, _, after = rest[0].partition(END)
        return before, text, after


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; texts of cells hold no bars."""
    names = tuple(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, ("---",) * len(names), *rows))
