"""Outcomes that tell of a target, as the tests of the breaker use them."""

from hybridproxy.model.fault import Verdict
from hybridproxy.resilience.breaker import Outcome, Rules, Signal

RULES = Rules(open_for=5.0, open_max=15.0)
GOOD = Outcome(Signal.START, Verdict.OK)
BAD = Outcome(Signal.START, Verdict.FAULT, "it is overloaded", tenant="shop")
CUT = Outcome(Signal.INTEGRITY, Verdict.FAULT, "the answer broke off", tenant="shop")
