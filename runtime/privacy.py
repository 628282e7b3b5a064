"""Files of this installation are its user's alone, whatever the umask of the shell that started it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def keep_files_private(home: Path) -> None:
    """From here on this process makes files 0600 and folders 0700, and so do those that it starts. Closes `home`, if it
    is there, to other users: what an older version left open in it can't be reached then.
    """
    os.umask(0o077)
    with contextlib.suppress(OSError):  # it is not there, or is someone else's
        home.chmod(0o700)
