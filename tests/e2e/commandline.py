"""The command line: a process for each command, its output and its exit code.

`up` and `down` run as users have them; the others are forks of a process that has imported them
(`tests/support/processes/forking.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2

from runtime.settings import Settings
from tests.support.places import ROOT
from tests.support.processes.cluster import environment
from tests.support.processes.forking import Forked
from tests.support.waiting import PATIENCE, wait_until

STARTING: Final = ("up", "down", "demo")
"""Commands that start processes which outlive them, or end such ones."""


class CommandLine:
    """``sluice`` with these settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._environment = environment(settings, COLUMNS="160")

    def __call__(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must be this exit code, without a traceback whatever it is."""
        done = (self._run if words[0] in STARTING else self._fork)(*map(str, words))
        told = f"sluice {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        assert "Traceback" not in done.stderr, told
        return done

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "devstack.cli", *words],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _fork(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same. Raises TimeoutError if it takes too long."""
        with tempfile.TemporaryDirectory(prefix="sluice-command-") as folder:
            output, errors = Path(folder) / "output", Path(folder) / "errors"
            process = Forked("devstack.cli", self._environment, output, *words, errors=errors)
            if (code := process.wait(PATIENCE)) is None:
                process.kill()
                raise TimeoutError(f"sluice {' '.join(words)} takes more than {PATIENCE:g} s")
            return subprocess.CompletedProcess(words, code, output.read_text("utf-8"), errors.read_text("utf-8"))

    def json(self, *words: object, code: int = 0) -> Any:
        """The JSON that a command prints on standard output, where nothing else may be."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def wait_job(self, job_id: str, condition: Callable[[Any], bool], what: str) -> Any:
        """The job, once it is as wanted. It asks REST, since a process for each look takes long."""
        address = f"{self.settings.api}/v1/jobs/{job_id}"
        with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
            wait_until(lambda: condition(client.get(address).raise_for_status().json()), what)
        return self.json("job", job_id)
