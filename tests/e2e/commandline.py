"""The command line as its users have it: a process for each command, its output and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2

from runtime.settings import Settings
from tests.cluster import ROOT, environment
from tests.waiting import wait_until

COMMAND_SECONDS = 300.0


class CommandLine:
    """``sluice`` with these settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._environment = environment(settings, COLUMNS="160")

    def __call__(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must be this exit code, without a traceback whatever it is."""
        done = subprocess.run(
            [sys.executable, "-m", "devstack.cli", *map(str, words)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        told = f"sluice {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        assert "Traceback" not in done.stderr, told
        return done

    def json(self, *words: object, code: int = 0) -> Any:
        """The JSON that a command prints on standard output, where nothing else may be."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def wait_job(self, job_id: str, condition: Callable[[Any], bool], what: str) -> Any:
        """The job, once it is as wanted. It asks REST, since a process for each look takes long."""
        address = f"{self.settings.api}/v1/jobs/{job_id}"
        with httpx2.Client(trust_env=False) as client:
            wait_until(lambda: condition(client.get(address).raise_for_status().json()), 180, what)
        return self.json("job", job_id)
