"""The threads of a process share few pools of memory: what one has freed another can have."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from tests.support.waiting import PATIENCE

THREADS_THAT_ALLOCATE = """
import ctypes, threading
from runtime.process import run

def work(_):
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
    all_at_work = threading.Barrier(8)
    def allocate():
        libc.malloc(ctypes.c_size_t(1000))
        all_at_work.wait()
    threads = [threading.Thread(target=allocate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output = ctypes.c_void_p(libc.fdopen(1, b"w"))
    libc.malloc_info(0, output)
    libc.fflush(output)

run("a test", "test", work)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="this C library has no such pools")
@pytest.mark.parametrize(("chosen", "pools"), [({}, {1, 2}), ({"MALLOC_ARENA_MAX": "5"}, {3, 4, 5})])
def test_threads_share_pools_of_memory(chosen: dict[str, str], pools: set[int]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", THREADS_THAT_ALLOCATE]
    answered = subprocess.run(
        command, env=environment | chosen, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert answered.stdout.count("<heap nr=") in pools
