"""Whether the fault that is set befalls this call: filters, a number of times, a time, a probability."""

from random import Random

from hybridproxy.simulator.behaviour import BEFORE_BODY, Behaviour, Fault

BEFORE_HEAD = frozenset({"status", "named", "redirect", "refuse", "early_response"})
"""Faults that can befall a request for models or health as well (`on: all`)."""


class Switch:
    """The current settings, and how often their fault has struck."""

    def __init__(self) -> None:
        """Begin healthy."""
        self.behaviour = Behaviour()
        self.struck = 0
        self._since = 0.0
        self._random = Random(0)  # noqa: S311 - repeatable on purpose

    def set(self, behaviour: Behaviour, now: float) -> None:
        """Take new settings; a fault that is the same one goes on counting."""
        if behaviour.fault is not self.behaviour.fault:
            self.struck, self._since = 0, now
            self._random = Random(behaviour.fault.seed if behaviour.fault else 0)  # noqa: S311
        self.behaviour = behaviour

    def at_accept(self, now: float) -> Fault | None:
        """Return the fault that ends a connection as soon as it is accepted, if there is one."""
        fault = self.behaviour.fault
        if fault is None or fault.kind != "refuse" or fault.when != "accept":
            return None
        return self._strike(fault, now)

    def before_body(self, now: float, key: str | None) -> Fault | None:
        """Return the fault that befalls a call of which only the head is known."""
        fault = self.behaviour.fault
        if fault is None or fault.kind not in BEFORE_BODY or fault.when == "accept" or not _for_key(fault, key):
            return None
        return self._strike(fault, now)

    def after_body(self, now: float, key: str | None, model: object, *, stream: bool) -> Fault | None:
        """Return the fault that befalls a call that has been read."""
        fault = self.behaviour.fault
        if fault is None or fault.kind in BEFORE_BODY or not _for_key(fault, key):
            return None
        if fault.only_stream not in {None, stream} or fault.only_model not in {None, model}:
            return None
        return self._strike(fault, now)

    def for_other_path(self, now: float, key: str | None) -> Fault | None:
        """Return the fault that befalls a request that is no model call."""
        fault = self.behaviour.fault
        if fault is None or fault.on != "all" or fault.kind in BEFORE_BODY or not _for_key(fault, key):
            return None
        if fault.only_stream is not None or fault.only_model is not None:
            return None
        if not (fault.kind in BEFORE_HEAD or fault.before_head or fault.how == "bytes"):
            return None
        return self._strike(fault, now)

    def _strike(self, fault: Fault, now: float) -> Fault | None:
        if fault.times is not None and self.struck >= fault.times:
            return None
        if fault.for_ms is not None and (now - self._since) * 1000 >= fault.for_ms:
            return None
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return None
        self.struck += 1
        return fault


def _for_key(fault: Fault, key: str | None) -> bool:
    return fault.only_key is None or fault.only_key == key
