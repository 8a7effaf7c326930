"""What the proxy's admin port tells of one backend, looked at several times a second.

The counters of `/metrics` miss no change of phase, however short it was; `/admin/v1/explain` gives the reason.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from hybridproxy.demo import local_http
from hybridproxy.demo.judgement import Changes

PHASE: Final = re.compile(
    r'^hybridproxy_breaker_changes_total\{backend="(?P<backend>[^"]*)",phase="(?P<phase>[^"]*)"\} (?P<n>\S+)$',
    re.MULTILINE,
)
RESUMED: Final = re.compile(
    r'^hybridproxy_recovered_streams_total\{backend="[^"]*",way="(?P<way>[^"]*)"\} (?P<n>\S+)$', re.MULTILINE
)
NOTHING: Final = Changes()
HEALTH: Final = re.compile(r"^health: (?:open|half-open): ")
"""What a decision puts before the reason of a breaker that is not closed."""


class Phase(Enum):
    """The breaker's phases, in the proxy's words."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look: what was counted since the first look, and the last reason that was given."""

    changes: Changes = NOTHING
    reason: str = ""

    @property
    def phase(self) -> Phase:
        """The breaker's phase, in an outage that was the first since the first look."""
        counted = self.changes
        if counted.closed or not counted.opened:
            return Phase.CLOSED
        return Phase.OPEN if counted.opened > counted.half_opened else Phase.HALF_OPEN


class Watch:
    """Looks at a backend, as somebody who calls like `described` would see it."""

    def __init__(self, port: int, token: str, backend: str, described: Mapping[str, Any]) -> None:
        """Look for the first time; later looks count from here."""
        self._port = port
        self._headers = {"authorization": f"Bearer {token}"}
        self._backend = backend
        self._described = dict(described)
        self._last = Sight()
        self._first = self._counted() or NOTHING

    def look(self) -> Sight:
        """Return what is to be seen now, or what was last when the admin port does not answer."""
        counted = self._counted()
        if counted is None:
            return self._last
        changes = minus(counted, self._first)
        self._last = Sight(changes, self._reason() or self._last.reason)
        return self._last

    def _counted(self) -> Changes | None:
        page = local_http.text(self._port, "/metrics", self._headers)
        return None if page is None else read_metrics(page, self._backend)

    def _reason(self) -> str:
        decision = local_http.post(self._port, "/admin/v1/explain", self._described, self._headers)
        return read_reason(decision, self._backend)


def read_metrics(page: str, backend: str) -> Changes:
    """Return what the metrics say of a backend's breaker and of streams that were resumed."""
    phases = {found["phase"]: int(float(found["n"])) for found in PHASE.finditer(page) if found["backend"] == backend}
    return Changes(
        opened=phases.get(Phase.OPEN.value, 0),
        half_opened=phases.get(Phase.HALF_OPEN.value, 0),
        closed=phases.get(Phase.CLOSED.value, 0),
        resumed=sum(int(float(found["n"])) for found in RESUMED.finditer(page) if found["way"] == "resume"),
    )


def read_reason(decision: Any, backend: str) -> str:
    """Return why a decision passes over a backend whose breaker is not closed, "" where it does not."""
    try:
        reasons = [str(row["reason"]) for row in decision["candidates"] if row["backend"] == backend]
    except (KeyError, TypeError):
        return ""
    return next((HEALTH.sub("", reason) for reason in reasons if HEALTH.match(reason)), "")


def minus(later: Changes, earlier: Changes) -> Changes:
    """Return what came between two counts."""
    return Changes(
        later.opened - earlier.opened,
        later.half_opened - earlier.half_opened,
        later.closed - earlier.closed,
        later.resumed - earlier.resumed,
    )
