"""What an engine says of its load: three numbers out of the page it has for Prometheus, named by its provider's row.

The page's text format: https://prometheus.io/docs/instrumenting/exposition_formats. An engine has a line for each of
its models and data-parallel ranks: calls add up, and the fullest cache counts.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from hybridproxy.model.value import value

MAX_LINES = 1024
"""Of one name; a page with more is none of an engine's."""


@value
class Metrics:
    """Where an engine says how loaded it is.

    Attributes:
        path: the page, from the server's root.
        running: its name of the calls that it works on.
        waiting: its name of the calls that it has queued.
        usage: its name of the part of its KV cache that calls hold, 0 to 1.

    """

    path: str
    running: str
    waiting: str
    usage: str


def read_metrics(names: Metrics, page: bytes) -> tuple[float, float, float] | None:
    """Return running calls, waiting calls and the use of the cache; None for a page without these calls."""
    text = b"\n" + page
    running, waiting = list(_values(names.running, text)), list(_values(names.waiting, text))
    if not running or not waiting:
        return None
    return sum(running), sum(waiting), min(1.0, max(_values(names.usage, text), default=0.0))


def _values(name: str, text: bytes) -> Iterator[float]:
    for count, found in enumerate(_line(name).finditer(text)):
        if count == MAX_LINES:
            return
        try:
            number = float(found[1])
        except ValueError:
            continue
        if 0 <= number < 1e9:  # which NaN is not
            yield number


@lru_cache(64)
def _line(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\n" + re.escape(name.encode()) + rb"(?:\{[^\n]{0,4096}\})?[ \t]{1,16}([^\s]{1,32})")
