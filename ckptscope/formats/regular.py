"""Only regular files are opened: a named pipe would be waited for, a device read without end."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from ckptscope.errors import CorruptCheckpointError


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading, never waiting for one that is not.

    Raises:
        CorruptCheckpointError: it is a pipe, a device, a socket or a directory.
        OSError: it cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise CorruptCheckpointError("is not a regular file", path=path)
    return open(path, "rb")
