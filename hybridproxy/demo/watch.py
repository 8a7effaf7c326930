"""What the proxy's admin port tells of one backend, looked at several times a second.

The counters of `/metrics` miss no change of phase, however short it was; `/admin/v1/state` has reason and ramp.
"""

import re
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
PREFIX: Final = re.compile(r"^(?:open|half-open): ")
"""The phase that stands before a reason and is shown anyway."""


class Phase(Enum):
    """The breaker's phases, in the proxy's words."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look.

    Attributes:
        changes: what was counted since the first look.
        reason: why the backend gets no or fewer calls, "" where it gets all.
        ramp: the share of the calls it is to get while it comes back by a ramp.

    """

    changes: Changes = NOTHING
    reason: str = ""
    ramp: float | None = None

    @property
    def phase(self) -> Phase:
        """The breaker's phase, in an outage that was the first since the first look."""
        counted = self.changes
        if counted.closed or not counted.opened:
            return Phase.CLOSED
        return Phase.OPEN if counted.opened > counted.half_opened else Phase.HALF_OPEN


class Watch:
    """Looks at a backend."""

    def __init__(self, port: int, token: str, backend: str) -> None:
        """Look for the first time; later looks count from here."""
        self._port = port
        self._headers = {"authorization": f"Bearer {token}"}
        self._backend = backend
        self._last = Sight()
        self._first = self._counted() or NOTHING

    def look(self) -> Sight:
        """Return what is to be seen now, or what was last when the admin port does not answer."""
        counted = self._counted()
        if counted is None:
            return self._last
        state = local_http.json_of(self._port, "/admin/v1/state", self._headers)
        self._last = Sight(minus(counted, self._first), *read_state(state, self._backend))
        return self._last

    def _counted(self) -> Changes | None:
        page = local_http.text(self._port, "/metrics", self._headers)
        return None if page is None else read_metrics(page, self._backend)


def read_metrics(page: str, backend: str) -> Changes:
    """Return what the metrics say of a backend's breaker and of streams that were resumed."""
    phases = {found["phase"]: int(float(found["n"])) for found in PHASE.finditer(page) if found["backend"] == backend}
    return Changes(
        opened=phases.get(Phase.OPEN.value, 0),
        half_opened=phases.get(Phase.HALF_OPEN.value, 0),
        closed=phases.get(Phase.CLOSED.value, 0),
        resumed=sum(int(float(found["n"])) for found in RESUMED.finditer(page) if found["way"] == "resume"),
    )


def read_state(state: Any, backend: str) -> tuple[str, float | None]:
    """Return the reason and the ramp of the first of a backend's targets that does not get all its calls."""
    try:
        targets = [target for row in state["backends"] if row["id"] == backend for target in row["targets"]]
        for target in targets:
            if target["admits"] != "all":
                ramp = target["ramp"]
                return PREFIX.sub("", str(target["reason"])), None if ramp is None else float(ramp)
    except (KeyError, TypeError, ValueError):
        return "", None
    return "", None


def minus(later: Changes, earlier: Changes) -> Changes:
    """Return what came between two counts."""
    return Changes(
        later.opened - earlier.opened,
        later.half_opened - earlier.half_opened,
        later.closed - earlier.closed,
        later.resumed - earlier.resumed,
    )
