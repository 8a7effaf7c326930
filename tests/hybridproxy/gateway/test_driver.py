"""What a call's course tells of the health of where it went."""

from types import SimpleNamespace
from typing import Any

import pytest

from hybridproxy.gateway.driver import Driver
from hybridproxy.model.call import Operation
from hybridproxy.model.fault import Verdict
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.events import Observe
from tests.support import make


class Health:
    """Takes what is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def good(self, *_: Any) -> None:
        """Take a good outcome."""
        self.told.append(Verdict.OK)

    def note(self, _key: Any, outcome: Any, *_: Any) -> None:
        """Take any other, or that of a probe."""
        self.told.append(outcome.verdict)


@pytest.mark.parametrize("epoch", [None, 7])
@pytest.mark.parametrize(("operation", "verdict"), [(Operation.CHAT, Verdict.OK), (Operation.COUNT, Verdict.IGNORED)])
def test_who_counts_tokens_may_still_not_answer(operation: Operation, verdict: Verdict, epoch: int | None) -> None:
    """So a count is no evidence that a target is well, neither by itself nor as the probe of one that was not."""
    health = Health()
    driver: Any = Driver.__new__(Driver)
    driver._operation = operation
    driver._claims = {}
    driver._made = {0: SimpleNamespace(target=make.target(), epoch=epoch, caught=False, fault=None)}
    driver._parts = SimpleNamespace(health=health)
    driver._ask = SimpleNamespace(tenant="shop")
    driver._observe(Observe(0, Signal.START, Verdict.OK))
    assert health.told == [verdict]
