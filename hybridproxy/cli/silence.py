"""A process that leaves nothing of what it knows behind: no core file, and no log of TLS sessions' secrets."""

import ctypes
import os
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""From <linux/prctl.h>. A process that is not dumpable leaves no core, not even to a program that `core_pattern` names,
to which no limit applies; and others of the same user can neither trace it nor read its memory and environment."""

KEY_LOG: Final = "SSLKEYLOGFILE"


def silence() -> None:
    """Keep this process's memory out of core files, whatever kills it, and its TLS secrets out of any file.

    Contexts for upstreams never follow `SSLKEYLOGFILE`; those that libraries make while they are imported do.
    """
    os.environ.pop(KEY_LOG, None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None:  # Linux
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
