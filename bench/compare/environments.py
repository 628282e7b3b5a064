"""What the peers run in: environments and programs below the cache folder, made on first use, pinned by hashes.

Nothing of it goes into the project's own .venv, nor into the system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from runtime.text.terminal import say

PEERS: Final = Path(__file__).resolve().parent.parent / "peers"
REDIS_PACKAGES: Final = (
    *("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0", "lua-bitop", "lua-cjson"),
)
DOWNLOAD_SECONDS: Final = 600


class UnavailableError(Exception):
    """A peer can't be had on this machine; the text says why, and what would help."""


def python_of(name: str, cache: Path) -> Path:
    """The Python of the environment of ``bench/peers/<name>``, with the packages that its requirements.txt pins.

    Raises:
        UnavailableError: a package can't be installed.
    """
    requirements = PEERS / name / "requirements.txt"
    folder = cache / "bench" / f"{name}-{_digest(requirements, sys.version)}"
    python = folder / "bin" / "python"
    if (folder / ".complete").exists():
        return python
    say(f"Making the environment of {name} (once) ...")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements)])
    except UnavailableError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / ".complete").touch()
    return python


def go_program(name: str, cache: Path) -> Path:
    """The program of ``bench/peers/<name>``, built from the modules that its go.sum pins.

    Raises:
        UnavailableError: there is no Go, or a module can't be had.
    """
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("needs Go to be built, and there is none on this machine")
    source = PEERS / name
    program = cache / "bench" / f"{name}-{_digest(source / 'go.sum', (source / 'main.go').read_text())}" / name
    if not program.exists():
        say(f"Building {name} (once; some minutes) ...")
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as draft:
            _run([go, "build", "-trimpath", "-o", f"{draft}/{name}", "."], cwd=source)
            Path(draft, name).replace(program)
    return program


def redis_server(cache: Path) -> tuple[Path, dict[str, str]]:
    """Redis' server, and the variables that it needs: the machine's own, or that of Debian's packages, unpacked.

    Raises:
        UnavailableError: neither can be had.
    """
    installed = shutil.which("redis-server")
    if installed:
        return Path(installed), {}
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError("needs redis-server, which is not installed: install it (this is no Debian)")
    folder = cache / "bench" / "redis"
    program = folder / "usr" / "bin" / "redis-server"
    if not (folder / ".complete").exists():
        say("Unpacking Debian's Redis (once) ...")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=folder) as arrived:
            Path(arrived).chmod(0o755)
            _run(["apt-get", "download", *REDIS_PACKAGES], cwd=Path(arrived))  # apt checks Debian's signatures
            for package in sorted(Path(arrived).glob("*.deb")):
                _run(["dpkg-deb", "--extract", str(package), str(folder)])
        (folder / ".complete").touch()
    libraries = {str(file.parent) for file in folder.glob("usr/lib/**/*.so*")}
    return program, {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _digest(file: Path, more: str) -> str:
    return sha256(file.read_bytes() + more.encode()).hexdigest()[:12]


def _run(command: list[str], cwd: Path | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise UnavailableError(f"{Path(command[0]).name} failed: {last[:200]}")
