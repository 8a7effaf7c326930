"""Tests of what follows from each kind of fault."""

import pytest

from hybridproxy.model.fault import FACTS, Fault, FaultKind, Verdict

OURS_OR_CALLERS = {
    FaultKind.INVALID_REQUEST,
    FaultKind.CONTEXT_TOO_LONG,
    FaultKind.CONTENT_REFUSED,
    FaultKind.NOT_FOUND,
    FaultKind.DEADLINE,
    FaultKind.CLIENT_GONE,
    FaultKind.CLIENT_STALLED,
    FaultKind.INTERNAL,
}


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_says_what_follows_from_it(kind: FaultKind) -> None:
    """A new kind without its row would fail in the middle of a call."""
    facts = Fault(kind).facts
    assert facts is FACTS[kind]
    assert 400 <= facts.status <= 599
    assert facts.code
    assert facts.text
    assert facts.verdict is not Verdict.OK


def test_no_two_kinds_share_a_code() -> None:
    """A caller's program and an operator's alert can tell every kind apart."""
    assert len({facts.code for facts in FACTS.values()}) == len(FaultKind)


@pytest.mark.parametrize("kind", FaultKind)
def test_a_callers_mistake_says_nothing_of_a_backends_health(kind: FaultKind) -> None:
    """Otherwise one tenant could close a backend for everybody."""
    assert (FACTS[kind].verdict is Verdict.IGNORED) == (kind in OURS_OR_CALLERS)


@pytest.mark.parametrize("kind", FaultKind)
def test_an_upstreams_401_402_403_never_looks_like_the_callers_own(kind: FaultKind) -> None:
    """The caller's key is fine when ours is refused."""
    assert FACTS[kind].status not in {401, 402, 403}


def test_a_fault_is_told_in_one_sentence() -> None:
    """Who, what, the status, and the upstream's words, each only where there is one."""
    whole = Fault(FaultKind.THROTTLED, "slow down", "together-us", status=429)
    assert whole.sentence() == "together-us: it is throttling us (HTTP 429): slow down"
    assert Fault(FaultKind.CONNECT).sentence() == "it could not be reached"
