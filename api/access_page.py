"""The tables of roles, and of rights in Kafka, in docs/security.md; ``python -m api.access_page`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from api.pages.routes import PAGES
from api.routes.rest import ENDPOINTS
from schemas.policies.principals import Role
from schemas.policies.rights import DESCRIBES, ERASES, READS, WRITES, User

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "security.md"
BEGIN: Final = "<!-- Made by `python -m api.access_page`: do not edit by hand. -->"
END: Final = "<!-- The end of what is made. -->"


def tables() -> str:
    """What stands between the first `BEGIN` and `END`: the roles that routes take."""
    rest = [(f"`{endpoint.method} {endpoint.path}`", endpoint.role) for endpoint in ENDPOINTS]
    pages: list[tuple[str, Role | None]] = [(f"`{method} {path}`", role) for method, path, _, role in PAGES]
    pages += [("`GET` and `POST /sign-in`, `GET` below it, `GET /static`", None)]
    return f"{_table('REST', rest)}\n\n{_table('page', pages)}"


def rights() -> str:
    """What stands between the second: what each user may do in Kafka."""

    def names(some: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in some)

    head = ("user", "reads", "writes", "describes alone", "removes records from")
    rows = [
        (f"`{user}`", *(names(right.get(user, ())) for right in (READS, WRITES, DESCRIBES, ERASES)))
        for user in get_args(User)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def written(text: str) -> str:
    """The page with the tables as they are now."""
    made = iter((tables(), rights()))
    return re.sub(f"(?s)(?<={re.escape(BEGIN)}\n\n).*?(?=\n\n{re.escape(END)})", lambda _: next(made), text)


def _table(name: str, rows: Iterable[tuple[str, Role | None]]) -> str:
    head = (name, "without a key", *(role.value for role in Role))
    lines = [head, ("---",) * len(head), *((what, *_marks(needed)) for what, needed in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _marks(needed: Role | None) -> Iterable[str]:
    yield "yes" if needed is None else ""
    for role in Role:
        yield "yes" if needed is None or role.covers(needed) else ""


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), encoding="utf-8")
