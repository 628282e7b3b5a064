"""The second name of an option. Pure."""

from __future__ import annotations

from typing import Any, Final

from api.errors import invalid

_OTHER: Final = "constants"
_NAME: Final = "set"


def with_first_names(request: dict[str, Any]) -> dict[str, Any]:
    """A request with ``options.set`` where it says ``options.constants``.

    Raises:
        ApiError: 400, it says both.
    """
    options = request.get("options")
    if not isinstance(options, dict) or _OTHER not in options:
        return request
    if _NAME in options:
        raise invalid(f"options.{_OTHER} and options.{_NAME} are two names of one option; give one of them")
    return {**request, "options": {_NAME if name == _OTHER else name: value for name, value in options.items()}}
