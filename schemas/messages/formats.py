"""The version of the messages: what this version of Sluice writes, and understands."""

from __future__ import annotations

from typing import Final

SEALED_FORMAT: Final = 2
"""From this one on a process can open blocks that are sealed: see decision 0040."""
FORMAT: Final = 4
"""Every record carries it in the header `FORMAT_HEADER`. Raised by a change that older processes must not overlook."""
WRITE_MODES: Final = 2
"""The first format whose processes know of write modes: older ones would make documents of such a job's rows."""
INSPECTION_FORMAT: Final = 3
"""From this one on, processes write no row of a new file before its first rows have been looked at."""
IMAGE_GROUPS: Final = 4
"""From this one on, processes find before-images in groups: older ones would take a group for no image at all."""
FORMAT_HEADER: Final = "sluice-format"
TIMERS: Final = 2
"""The format with which a job may have a time to start."""


def format_headers() -> list[tuple[str, bytes]]:
    """The header of every record that is written."""
    return [(FORMAT_HEADER, str(FORMAT).encode())]


def format_of(headers: object) -> int:
    """The format of a record with these headers, as confluent-kafka or aiokafka give them; 0: it says none."""
    if not isinstance(headers, list | tuple):
        return 0
    for name, value in headers:
        if name == FORMAT_HEADER and isinstance(value, bytes) and value.isdigit() and len(value) < 10:
            return int(value)
    return 0
