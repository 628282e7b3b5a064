"""For the environment of a process: every change of a file outside of the folders it may write is refused.

The folder with this text as ``sitecustomize.py`` stands in PYTHONPATH; ``WRITABLE`` names the folders. It stands for a
container with a read-only root.
"""

from __future__ import annotations

SITECUSTOMIZE = """
import errno, os, sys
WRITABLE = tuple(os.environ["WRITABLE"].split(":")) + ("/dev/",)
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
def hook(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
    elif event in CHANGES:
        path = arguments[0]
    else:
        return
    if isinstance(path, (str, bytes, os.PathLike)):
        name = os.path.abspath(os.fsdecode(path))
        if not name.startswith(WRITABLE):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
sys.addaudithook(hook)
"""
