"""How much memory this process holds, and how much it may hold."""

import os
import resource
from pathlib import Path
from typing import Final

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_UNLIMITED: Final = 1 << 60
"""Bytes; the first version of cgroups says so, or nearly, where there is no limit."""


DESCRIPTORS: Final = 2
"""Of files, that a call needs: its caller's connection and the upstream's."""

RESERVED: Final = 200
"""Of files, that are not for calls: logs, Redis, the admin port, callers that wait."""


class Memory:
    """Reads both from the system; a reading takes a few microseconds."""

    __slots__ = ("_statm", "limit")

    def __init__(self, limit: int | None = None) -> None:
        """Find out how much this process may hold, unless a limit in bytes is given."""
        self.limit = memory_limit() if limit is None else limit
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident(self) -> int:
        """Return the bytes in memory that are this process's."""
        return int(os.pread(self._statm, 128, 0).split()[1]) * PAGE

    def __del__(self) -> None:
        """Let go of the file."""
        os.close(self._statm)


def memory_limit(root: Path = Path("/")) -> int:
    """Return how many bytes this process may hold: the least that its cgroups allow, else the machine's memory.

    Both versions of cgroups are read, and each group with those it lies in. In a container the root of what is mounted
    is the container's own group.
    """
    limits = [_bytes(file) for file in _files(root)]
    whole = os.sysconf("SC_PHYS_PAGES") * PAGE
    return min([whole, *(limit for limit in limits if limit is not None and 0 < limit < _UNLIMITED)])


def _files(root: Path) -> list[Path]:
    """Return where limits may stand."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/", "1:memory:/"]
    found: list[Path] = []
    for line in lines:
        _, kinds, path = f"{line}::".split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        base, name = (mount / "memory", "memory.limit_in_bytes") if kinds else (mount, "memory.max")
        inside = Path(path.strip("/:"))
        found += [base / group / name for group in (inside, *inside.parents)]
    return found


def _bytes(file: Path) -> int | None:
    """Return the number in a file; None where there is none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def affordable(calls: int) -> int:
    """Return how many of so many calls at a time the file descriptors of this process suffice for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return calls
    return max(1, min(calls, (files - RESERVED) // DESCRIPTORS))
