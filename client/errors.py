"""How a command of the client ends other than well: one sentence and an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from runtime.sentences import FAILED, INTERRUPTED, UNREACHABLE, USAGE, CliError
from runtime.urls import without_password

__all__ = ["FAILED", "INTERRUPTED", "UNREACHABLE", "USAGE", "ClientError", "plain_errors", "unreachable", "usage"]

P = ParamSpec("P")
T = TypeVar("T")


class ClientError(CliError):
    """Something to tell the user in a sentence."""

    def __init__(self, message: str, exit_code: int, http_code: int | None = None) -> None:
        super().__init__(message, exit_code)
        self.http_code = http_code


def usage(message: str) -> ClientError:
    """The user asked for something that can't be."""
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
    """What answers is not the API, or not one that this client knows."""
    return ClientError(f"{what}; does SLUICE_API_URL name Sluice's API, and one of this version?", UNREACHABLE)


def exit_code_for(http_code: int) -> int:
    """The exit code for an answer of the API that is a refusal."""
    if http_code >= 500:
        return UNREACHABLE
    return FAILED if http_code == 409 else USAGE


def plain_errors(command: Callable[P, T]) -> Callable[P, T]:
    """For a command that reads the API's answers: one of another shape than the API's own is told as such."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            said = f"{type(error).__name__}: {error}"
            raise no_api(f"the API's answer is none that this command understands ({said})") from error

    return wrapped
