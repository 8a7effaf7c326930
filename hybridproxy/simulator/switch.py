"""Whether one of the faults that are set befalls this call: filters, a number of times, a time, a probability."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hybridproxy.simulator.behaviour import BEFORE_BODY, Behaviour, Fault

BEFORE_HEAD = frozenset({"status", "named", "redirect", "refuse", "early_response"})
"""Faults that can befall a request for models or health as well (`on: all`)."""


@dataclass(slots=True, eq=False)
class Armed:
    """A fault that is set: since when, how often it has struck, and its own chance."""

    fault: Fault
    since: float
    random: Random
    struck: int = 0

    def strikes(self, now: float) -> bool:
        """Return whether it befalls a call that it could befall."""
        fault = self.fault
        if fault.times is not None and self.struck >= fault.times:
            return False
        if fault.for_ms is not None and (now - self.since) * 1000 >= fault.for_ms:
            return False
        if fault.probability < 1 and self.random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class Switch:
    """The current settings, and how often their faults have struck."""

    def __init__(self) -> None:
        """Begin healthy."""
        self.behaviour = Behaviour()
        self._armed: tuple[Armed, ...] = ()

    @property
    def struck(self) -> int:
        """How often the faults that are set have struck."""
        return sum(armed.struck for armed in self._armed)

    def set(self, behaviour: Behaviour, now: float) -> None:
        """Take new settings; a fault that is the same one goes on counting."""
        before = {id(armed.fault): armed for armed in self._armed}
        self._armed = tuple(
            before.get(id(fault)) or Armed(fault, now, Random(fault.seed))  # noqa: S311 - repeatable on purpose
            for fault in behaviour.all_faults
        )
        self.behaviour = behaviour

    def at_accept(self, now: float) -> Fault | None:
        """Return the fault that ends a connection as soon as it is accepted, if there is one."""
        return self._first(now, lambda fault: fault.kind == "refuse" and fault.when == "accept")

    def before_body(self, now: float, key: str | None) -> Fault | None:
        """Return the fault that befalls a call of which only the head is known."""
        return self._first(
            now, lambda fault: fault.kind in BEFORE_BODY and fault.when != "accept" and _for_key(fault, key)
        )

    def after_body(self, now: float, key: str | None, model: object, *, stream: bool) -> Fault | None:
        """Return the fault that befalls a call that has been read."""

        def fits(fault: Fault) -> bool:
            if fault.kind in BEFORE_BODY or not _for_key(fault, key):
                return False
            return fault.only_stream in {None, stream} and fault.only_model in {None, model}

        return self._first(now, fits)

    def for_other_path(self, now: float, key: str | None) -> Fault | None:
        """Return the fault that befalls a request that is no model call."""

        def fits(fault: Fault) -> bool:
            if fault.on != "all" or fault.kind in BEFORE_BODY or not _for_key(fault, key):
                return False
            if fault.only_stream is not None or fault.only_model is not None:
                return False
            return fault.kind in BEFORE_HEAD or bool(fault.before_head) or fault.how == "bytes"

        return self._first(now, fits)

    def _first(self, now: float, fits: Callable[[Fault], bool]) -> Fault | None:
        """Return the first fault that fits and strikes."""
        return next((armed.fault for armed in self._armed if fits(armed.fault) and armed.strikes(now)), None)


def _for_key(fault: Fault, key: str | None) -> bool:
    return fault.only_key is None or fault.only_key == key
