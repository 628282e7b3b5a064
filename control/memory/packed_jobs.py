"""Jobs of a process that goes through none of them: of those that have ended each is a few hundred bytes. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from schemas.job import ENDED, Job
from schemas.messages.codec import decode, encode

_RAW: Final = -12
"""zlib's `wbits`: no header, and a window of four kilobytes, which is more than most states have."""
_MEMORY: Final = 8
_NUMBER: Final = 2
"""Bytes of the number of a sample."""
_MOST_SAMPLES: Final = 1000


class PackedJobs:
    """Job id -> job. A job that has ended is decoded anew each time that it is asked for.

    It is compressed with another job of its operation and dataset as the dictionary: their states have most in common.
    """

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._samples: list[bytes] = []
        self._sample_of: dict[tuple[str, str], int] = {}
        self.open: dict[str, Job] = {}
        """The jobs that have not ended."""

    def __len__(self) -> int:
        return len(self.open) + len(self._packed)

    def get(self, job_id: str) -> Job | None:
        """The job; None: there is no such job."""
        packed = self._packed.get(job_id)
        return self.open.get(job_id) if packed is None else self._unpacked(packed)

    def brief(self, job_id: str) -> Job | None:
        """The same."""
        return self.get(job_id)

    def values(self) -> Iterator[Job]:
        """All jobs, each decoded as it comes."""
        yield from list(self.open.values())
        for packed in list(self._packed.values()):
            yield self._unpacked(packed)

    def put(self, job: Job) -> None:
        """Take in a state."""
        if job.state in ENDED:
            self.open.pop(job.id, None)
            self._packed[job.id] = self._pack(job)
        else:
            self._packed.pop(job.id, None)
            self.open[job.id] = job

    def remove(self, job_id: str) -> Job | None:
        """Take out a job; answers it."""
        job = self.get(job_id)
        self.open.pop(job_id, None)
        self._packed.pop(job_id, None)
        return job

    def _pack(self, job: Job) -> bytes:
        state = encode(job)
        number = self._sample_of.get((job.operation, job.dataset))
        if number is None:
            number = len(self._samples) % _MOST_SAMPLES
            self._sample_of[job.operation, job.dataset] = number
            if number == len(self._samples):
                self._samples.append(state)
        packer = zlib.compressobj(1, zlib.DEFLATED, _RAW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, self._samples[number])
        return number.to_bytes(_NUMBER, "big") + packer.compress(state) + packer.flush()

    def _unpacked(self, packed: bytes) -> Job:
        sample = self._samples[int.from_bytes(packed[:_NUMBER], "big")]
        job: Job = decode(zlib.decompressobj(_RAW, zdict=sample).decompress(packed[_NUMBER:]), Job)
        return job
