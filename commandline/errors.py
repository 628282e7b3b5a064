"""Errors of the client's commands: one sentence and an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from runtime.network.urls import without_password
from runtime.text.interrupts import INTERRUPTED
from runtime.text.sentences import FAILED, UNREACHABLE, USAGE, CliError

__all__ = ["FAILED", "INTERRUPTED", "UNREACHABLE", "USAGE", "ClientError", "plain_errors", "unreachable", "usage"]

P = ParamSpec("P")
T = TypeVar("T")


class ClientError(CliError):
    """An error of a client's command, shown as one sentence."""

    def __init__(self, message: str, exit_code: int, http_code: int | None = None) -> None:
        super().__init__(message, exit_code)
        self.http_code = http_code


def usage(message: str) -> ClientError:
    """An error in the arguments, the files or the settings."""
    return ClientError(message, USAGE)


def unreachable(url: str, cause: Exception | None = None) -> ClientError:
    """The API does not answer."""
    why = f" ({cause})" if cause is not None and str(cause) else ""
    return ClientError(
        f"the API at {without_password(url)} can't be reached{why}; is it running? `sluice up` starts it, "
        f"SLUICE_API_URL names another one",
        UNREACHABLE,
    )


def no_api(what: str) -> ClientError:
    """The server that answers is not the API, or one of a version that this client does not know."""
    return ClientError(f"{what}; does SLUICE_API_URL name Sluice's API, and one of this version?", UNREACHABLE)


def exit_code_for(http_code: int) -> int:
    """The exit code for a refusal with this status. It may succeed later after 408, 429 and 5xx."""
    if http_code >= 500 or http_code in (408, 429):
        return UNREACHABLE
    return FAILED if http_code == 409 else USAGE


def plain_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Decorates a command that reads the API's answers: an answer of another shape becomes a ClientError."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise no_api(f"the API's answer is none that this command understands ({cause})") from error

    return wrapped
