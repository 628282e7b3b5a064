"""How a command of the client ends other than well: one sentence and an exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

FAILED: Final = 1
"""The job failed, has row errors, or is not in a state for this."""
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130


class ClientError(Exception):
    """Something to tell the user in a sentence."""

    def __init__(self, message: str, exit_code: int, http_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.http_code = http_code


def usage(message: str) -> ClientError:
    """The user asked for something that can't be."""
    return ClientError(message, USAGE)


def unreachable(url: str, cause: Exception | None = None) -> ClientError:
    """The API does not answer."""
    why = f" ({cause})" if cause is not None and str(cause) else ""
    return ClientError(
        f"the API at {url} can't be reached{why}; is it running? `sluice up` starts it, "
        f"SLUICE_API_URL names another one",
        UNREACHABLE,
    )


def exit_code_for(http_code: int) -> int:
    """The exit code for an answer of the API that is a refusal."""
    if http_code >= 500:
        return UNREACHABLE
    return FAILED if http_code == 409 else USAGE


def plain_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Makes a command end with a sentence on stderr and an exit code instead of a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        import typer

        try:
            return command(*args, **kwargs)
        except ClientError as error:
            print(f"sluice: {error.message}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # Whoever read the output has had enough; Python must not try to flush the rest at its end.
            sys.stdout = None
            raise typer.Exit(0) from None

    return wrapped
