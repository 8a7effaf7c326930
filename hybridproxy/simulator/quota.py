"""What a provider's account may ask for: so many calls within any second, within any minute, and at a time.

A call that is refused counts for nothing. DashScope has an error of its own for each, the others one for all.
"""

from collections import deque
from typing import Final

from hybridproxy.simulator.behaviour import Behaviour
from hybridproxy.simulator.row import ErrorRow, Provider

_DASHSCOPE: Final = {
    "at_a_time": ErrorRow(429, "Too many concurrent requests.", code="Throttling.Concurrency"),
    "per_second": ErrorRow(429, "Request rate increased too quickly.", code="Throttling.BurstRate"),
    "per_minute": ErrorRow(429, "Requests rate limit exceeded, please try again later.", code="Throttling.RateQuota"),
}
_OTHERS: Final = ErrorRow(429, "Rate limit reached for requests.", "requests", "rate_limit_exceeded")


class Quota:
    """The calls of the last minute."""

    def __init__(self) -> None:
        """Begin with none."""
        self._times: deque[float] = deque()
        self.under_way = 0

    def overrun(self, behaviour: Behaviour, now: float) -> str | None:
        """Take a call; return which of the settings it would overrun, None: it is taken."""
        if behaviour.at_a_time is not None and self.under_way >= behaviour.at_a_time:
            return "at_a_time"
        of_the_second, times = behaviour.per_second, self._times
        if of_the_second is None and behaviour.per_minute is None:
            return None
        while times and now - times[0] >= 60:
            times.popleft()
        if of_the_second is not None and len(times) >= of_the_second and now - times[-of_the_second] < 1:
            return "per_second"
        if behaviour.per_minute is not None and len(times) >= behaviour.per_minute:
            return "per_minute"
        times.append(now)
        return None


def error_for(row: Provider, overrun: str) -> ErrorRow:
    """Return the provider's words for it."""
    return _DASHSCOPE[overrun] if row.name.startswith("dashscope") else _OTHERS
