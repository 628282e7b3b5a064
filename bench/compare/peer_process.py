"""A peer's program as a process: runs of it, and the processor time that it and its children used."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.compare.environments import PEERS

ROOT = PEERS.parent.parent
START_SECONDS = 120.0
RUN_SECONDS = 900.0
END_SECONDS = 10.0


class PeerError(Exception):
    """A peer has failed; the text is its own."""


class PeerProcess:
    """A program that talks as `bench.peers.protocol` says; it stays alive from run to run, as a service would."""

    def __init__(
        self,
        python: Path,
        module: str,
        arguments: Sequence[str],
        variables: dict[str, str],
        log: Path,
        folder: Path = ROOT,
    ) -> None:
        """Start `module`, which is found in `folder`, and wait until it is ready.

        Raises:
            PeerError: it ended, or is not ready within two minutes; it has been ended then.
        """
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                cwd=folder,
                env={**os.environ, **variables, "PYTHONPATH": str(folder)},
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._answer(START_SECONDS)
        except PeerError:
            self.end()
            raise

    def prepare(self, request: dict[str, Any]) -> None:
        """Have it do what is not measured.

        Raises:
            PeerError: it failed, ended, or took too long.
        """
        self._send(json.dumps(request))
        self._answer(RUN_SECONDS)

    def go(self) -> float:
        """Have it load the rows; returns the seconds until Elasticsearch had confirmed all of them.

        Raises:
            PeerError: it failed, ended, or took too long.
        """
        self._send("go")
        return float(self._answer(RUN_SECONDS)["seconds"])

    def cpu_seconds(self) -> float:
        """The processor time of the process, its children and those of them that have ended, so far."""
        used = 0.0
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self._process.pid)
            for process in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    used += sum(process.cpu_times()[:4])  # user, system, and those of children that have ended
        return used

    def end(self) -> None:
        """End it and every process of its session."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _send(self, line: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise PeerError(f"it ended: {self._last_words()}") from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise PeerError(f"it gave no answer within {seconds:.0f} s") from None
        if not line:
            raise PeerError(f"it ended: {self._last_words()}")
        content: dict[str, Any] = json.loads(line)
        if "error" in content:
            raise PeerError(str(content["error"]))
        return content

    def _last_words(self) -> str:
        lines = (
            self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self._log.exists() else []
        )
        return lines[-1][:300] if lines else "it wrote nothing"
