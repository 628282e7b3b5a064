"""Ports of this machine: whether one is free, and which program listens on it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from devstack.errors import StackError
from devstack.layout import write_atomically
from runtime.network.urls import is_ipv6

HOST = "127.0.0.1"


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now; a port in TIME_WAIT counts as free, as servers set SO_REUSEADDR."""
    with socket.socket(socket.AF_INET6 if is_ipv6(host) else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def is_open(port: int, host: str = HOST) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port on which no program listens, chosen by the system."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, what: str, setting: str, host: str = HOST) -> None:
    """Check that no program listens on a port.

    Raises:
        StackError: one does; the message names the port, its holder where that can be seen, and the setting.
    """
    if not is_free(port, host):
        raise StackError(
            f"Port {port}, where {what} should listen, is taken{_holder(port)}: stop that program, or choose another "
            f"port with {setting}."
        )


def remembered_port(file: Path, name: str) -> int:
    """A port for internal use, the same at each start as long as it is free; it is stored in `file`."""
    try:
        ports = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        ports = {}
    port = ports.get(name)
    if not isinstance(port, int) or not is_free(port):
        port = free_port()
        write_atomically(file, json.dumps({**ports, name: port}))
    return port


def _holder(port: int) -> str:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return " by another program"
