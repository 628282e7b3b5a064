"""How a process of a role begins and ends: signals count from its first moment on, and whatever goes wrong, it ends.

It ends with a sentence and an exit code. No thread, no connection and no part of the interpreter that hangs meanwhile
keeps it alive: a supervisor starts it again, and the next one goes on from the checkpoints.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from runtime.telemetry.log_events import as_event

if TYPE_CHECKING:
    from runtime.settings import Settings

log = logging.getLogger(__name__)

FAILED: Final = 1
STOP_SECONDS: Final = 18.0
"""A process ends within this time after a signal, even if something hangs. Docker and Kubernetes would kill it
later."""
_M_ARENA_MAX: Final = -8
"""The number of this option in glibc's malloc.h."""
_ARENAS: Final = 2

at_end: list[Callable[[], object]] = []
"""Called before the process ends in good order: each takes a moment at most."""


class CannotStartError(Exception):
    """The process can't do its work until someone has done what the message says."""


def collect_seldom() -> None:
    """For a process with many objects and few cycles, blocks of rows or the states of all jobs: the garbage collector's
    usual thresholds would walk them again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def return_freed_memory() -> None:
    """After much was read: glibc keeps what was freed for the thread that had it, and the system gets it back.

    Other C libraries have no such call, and nothing is done there.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _share_memory() -> None:
    """Before there are threads: they share two pools of memory, where glibc would give each its own, up to eight for
    each processor. What one thread has freed another can then have."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None and "MALLOC_ARENA_MAX" not in os.environ:
        set_option(_M_ARENA_MAX, _ARENAS)


def run(role: str, service: str, work: Callable[[Settings], int | None], interrupted: int = 0) -> NoReturn:
    """Do the work of a role, whose name a sentence can begin with, and end the process with what it answers.

    `service`: its name in traces. `interrupted`: the exit code if a signal comes before the work has handlers of its
    own. As the first process of a container it would otherwise be deaf to signals until then.
    """
    _end_on_signals(interrupted)
    _share_memory()
    try:
        # Imported here: it takes a part of a second, in which a signal is to count already.
        from runtime.logs import configure_logging
        from runtime.privacy import keep_files_private
        from runtime.settings import settings
        from runtime.telemetry.tracing import configure_tracing
        from runtime.version import VERSION

        chosen = settings()
        keep_files_private()
        configure_logging(chosen)
        _require_files(chosen)
        told = as_event("process.started", role=role, version=VERSION)
        log.info("%s begins, version %s", role, VERSION, extra=told)
        configure_tracing(service)
        code = work(chosen) or 0
    except KeyboardInterrupt:
        code = interrupted
    except SystemExit as error:
        code = _told(error)
    except BaseException as error:
        code = _failed(role, error)
    end(code)


def end(code: int) -> NoReturn:
    """End the process now. Threads that are still at work, and connections, are not waited for."""
    for step in at_end:
        with contextlib.suppress(Exception):
            step()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def end_soon() -> None:
    """End the process `STOP_SECONDS` from now at the latest. Call this when the process has been told to stop."""
    watchdog = threading.Timer(STOP_SECONDS, _too_late)
    watchdog.daemon = True
    watchdog.start()


def reason_of(error: BaseException) -> str | None:
    """What to tell of an error that an operator can mend; None: it is a mistake of the program."""
    from pydantic import ValidationError

    from runtime.text.sentences import sentence

    if isinstance(error, ValidationError) or (isinstance(error, OSError) and error.strerror and error.filename):
        return sentence(error)[0]
    named = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    known = {
        "runtime.CannotStartError",
        "runtime.StorageAwayError",
        "runtime.StorageError",
        "schemas.DatasetError",
        "builtins.OSError",
        "cimpl.KafkaException",
        "aiokafka.KafkaError",
        "elasticsearch.ApiError",
        "elastic_transport.TransportError",
    }
    return (str(error) or type(error).__name__) if named & known else None


def _require_files(settings: Settings) -> None:
    """Raises CannotStartError: a file that a setting names can't be read. Libraries tell less of it, and later."""
    for name, path in settings.read_files.items():
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            raise CannotStartError(f"SLUICE_{name.upper()} {path} can't be read: {error.strerror or error}") from error


def _failed(role: str, error: BaseException) -> int:
    from runtime.network.urls import without_password

    if not logging.getLogger().handlers:  # the settings themselves could not be read
        logging.basicConfig(format="sluice: %(message)s")
    reason = reason_of(error)
    if reason is None:
        log.critical("%s ends after an unexpected error", role, exc_info=error, extra=as_event("process.failed"))
    else:
        log.critical("%s ends: %s", role, without_password(reason), extra=as_event("process.failed"))
    return FAILED


def _told(error: SystemExit) -> int:
    """The exit code of ``sys.exit(...)``, which may be given a sentence instead."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return FAILED


def _end_on_signals(code: int) -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        log.info("ends: %s", signal.Signals(number).name, extra=as_event("process.stopping"))
        end(code)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)


def _too_late() -> None:
    log.error(
        "this process should have ended %g s ago; it is ended now, since something in it hangs",
        STOP_SECONDS,
        extra=as_event("process.hangs"),
    )
    end(FAILED)


def handle_signals(handler: Callable[[], Any]) -> None:
    """Call `handler` when the process is to stop, and let it end in time. For a role that has no event loop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        end_soon()
        handler()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
