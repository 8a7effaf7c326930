"""Files that only we may read, written whole: what the audit log and the ledger have in common."""

import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def write_all(fd: int, data: bytes) -> None:
    """Write all of it; a system call may take a part only.

    Raises:
        OSError: an unknown part of it is written.

    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has.

    Raises:
        OSError: it cannot be.

    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
