"""How long the caller will wait: its own word for it shortens the route's times and never lengthens them.

OpenAI's clients send `x-stainless-read-timeout`: the longest silence they bear, so for a stream the time to the head,
for a whole answer the time to all of it. `x-request-timeout` is the time for the whole call. Both are seconds. We give
up a little earlier, so that the caller gets an answer with a reason instead of its own time-out.
"""

from dataclasses import replace
from typing import Final

from hybridproxy.model.backend import Timeouts

MARGIN, FEWEST, MOST = 0.1, 0.2, 0.5
"""Which part of the caller's time we give up earlier, and how many seconds at least (timers are coarse) and at most."""

LEAST: Final = 0.05


def shortened(times: Timeouts, *, silence: float | None, whole: float | None, stream: bool) -> Timeouts:
    """Return the times cut to what the caller will wait for.

    Args:
        times: the route's.
        silence: seconds it bears without a byte, None: it did not say.
        whole: seconds it gives the whole call, None: it did not say.
        stream: the call streams.

    """
    total, commit = times.total, times.commit_within
    if whole is not None:
        total = min(total, _earlier(whole))
    if silence is not None and not stream:
        total = min(total, _earlier(silence))
    elif silence is not None:
        commit = min(commit, _earlier(silence))
    if total >= times.total and commit >= times.commit_within:
        return times
    return replace(times, total=total, commit_within=commit)


def _earlier(seconds: float) -> float:
    return max(LEAST, seconds - min(MOST, max(FEWEST, MARGIN * seconds)))


def seconds(text: str | None) -> float | None:
    """Return the seconds a header says, None where it says none that make sense."""
    if text is None or len(text) > 16:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None
