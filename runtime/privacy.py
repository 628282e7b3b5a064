"""Files of this installation are its user's alone, whatever the umask of the shell that started it."""

from __future__ import annotations

import os


def keep_files_private() -> None:
    """From here on this process makes files 0600 and folders 0700, and so do those that it starts."""
    os.umask(0o077)
