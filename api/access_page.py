"""The tables of roles, and of rights in Kafka, in docs/security.md; ``python -m api.access_page`` writes them anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from api.pages.routes import PAGES
from api.routes.rest import ENDPOINTS
from runtime.text.markdown import MadeSection, markdown_table
from schemas.policies.principals import Role
from schemas.policies.rights import DESCRIBES, ERASES, READS, WRITES, User

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "security.md"
_COMMAND: Final = "python -m api.access_page"


def roles() -> str:
    """The roles that routes take."""
    rest = [(f"`{endpoint.method} {endpoint.path}`", endpoint.role) for endpoint in ENDPOINTS]
    pages: list[tuple[str, Role | None]] = [(f"`{method} {path}`", role) for method, path, _, role in PAGES]
    pages += [("`GET` and `POST /sign-in`, `GET` below it, `GET /static`", None)]
    return f"{_table('REST', rest)}\n\n{_table('page', pages)}"


def rights() -> str:
    """What each user may do in Kafka."""

    def names(some: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in some)

    head = ("user", "reads", "writes", "describes alone", "removes records from")
    rows = [
        (f"`{user}`", *(names(right.get(user, ())) for right in (READS, WRITES, DESCRIBES, ERASES)))
        for user in get_args(User)
    ]
    return markdown_table(head, rows)


def written(text: str) -> str:
    """The page with the tables as they are now."""
    text = MadeSection("roles", _COMMAND).put(text, roles())
    return MadeSection("rights", _COMMAND).put(text, rights())


def _table(name: str, rows: Iterable[tuple[str, Role | None]]) -> str:
    head = (name, "without a key", *(role.value for role in Role))
    return markdown_table(head, ((what, *_marks(needed)) for what, needed in rows))


def _marks(needed: Role | None) -> Iterable[str]:
    yield "yes" if needed is None else ""
    for role in Role:
        yield "yes" if needed is None or role.covers(needed) else ""


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), encoding="utf-8")
