"""Runs containers of Sluice's image, locked down as in a cluster: read-only, no capabilities, little memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PODMAN: Final = ("podman", *(("--runtime=runc",) if shutil.which("runc") else ()))
"""With runc where it is: some versions of crun refuse machines that have both kinds of control groups."""
IMAGE_USER: Final = 10001
STOP_SECONDS: Final = 20
"""A role that gets SIGTERM has ended so much later."""
MEMORY: Final[Mapping[str, str]] = {"worker": "1g"}
LEAST_MEMORY: Final = "512m"


def podman(*words: str | Path, seconds: float = 120) -> str:
    """What podman prints on standard output; an error of it fails the test with its words."""
    done = subprocess.run(
        [*PODMAN, *map(str, words)], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


def missing() -> str:
    """Why no container can run here; empty if one can."""
    return "" if shutil.which("podman") else "podman is not installed"


class Container:
    """A container of the image, from its start until it is removed."""

    def __init__(self, image: str, role: str, command: tuple[str, ...], environment: Mapping[str, str], storage: Path):
        """Start it. It writes to `storage`, and to a small /tmp in memory, and nowhere else."""
        memory = MEMORY.get(role, LEAST_MEMORY)
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        self.role = role
        kind, *self._check = json.loads(podman("image", "inspect", image))[0]["Healthcheck"]["Test"]
        assert kind == "CMD"
        self.id = podman(
            "run",
            "--detach",
            "--network=host",
            "--ulimit=nofile=1024:4096",
            "--ulimit=nproc=4096:4096",
            "--no-healthcheck",  # podman wants systemd's timers for them; `healthy` runs the check
            "--read-only",
            "--read-only-tmpfs=false",
            "--tmpfs=/tmp:rw,size=16m,mode=1777",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            f"--memory={memory}",
            f"--memory-swap={memory}",
            f"--volume={storage}:/var/lib/sluice/storage",
            *settings,
            image,
            *command,
        ).strip()

    @property
    def state(self) -> Any:
        """Podman's words of it: Status, ExitCode, OOMKilled, Pid."""
        return json.loads(podman("container", "inspect", self.id))[0]["State"]

    @property
    def healthy(self) -> bool:
        """Whether the image's own health check passes."""
        return subprocess.run([*PODMAN, "exec", self.id, *self._check], capture_output=True).returncode == 0

    @property
    def running(self) -> bool:
        return str(self.state["Status"]) == "running"

    @property
    def log(self) -> str:
        done = subprocess.run([*PODMAN, "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    def status(self, name: str) -> str:
        """A line of its first process's /proc/PID/status."""
        lines = Path(f"/proc/{self.state['Pid']}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))

    def wait(self, seconds: float) -> int:
        """Wait until it has ended by itself; its exit code."""
        return int(podman("wait", self.id, seconds=seconds))

    def terminate(self) -> None:
        """Send it SIGTERM."""
        podman("kill", "--signal=TERM", self.id)

    def stop(self) -> tuple[int, float]:
        """Send it SIGTERM; its exit code, and the seconds it took to end."""
        began = time.monotonic()
        self.terminate()
        code = self.wait(3 * STOP_SECONDS)
        return code, time.monotonic() - began

    def remove(self) -> None:
        """End it at once, and forget it."""
        podman("rm", "--force", "--time=0", self.id)
