"""What follows from each kind of fault."""

import pytest

from hybridproxy.model.fault import FACTS, Fault, FaultKind, Retry, Scope, Source, Verdict

SAYS_NOTHING = {
    FaultKind.INVALID_REQUEST,
    FaultKind.CONTEXT_TOO_LONG,
    FaultKind.CONTENT_REFUSED,
    FaultKind.NOT_FOUND,
    FaultKind.DIFFERS,
    FaultKind.DEADLINE,
    FaultKind.CLIENT_GONE,
    FaultKind.CLIENT_STALLED,
    FaultKind.AUDIT,
    FaultKind.LIMITED,
    FaultKind.INTERNAL,
}
REFUSED_KEYS = {FaultKind.CREDENTIAL, FaultKind.QUOTA, FaultKind.FORBIDDEN}
SILENT = {
    FaultKind.TIMEOUT_CONNECT,
    FaultKind.TIMEOUT_FIRST_TOKEN,
    FaultKind.TIMEOUT_BETWEEN_BYTES,
    FaultKind.TIMEOUT_ANSWER,
}


def kinds(fact: str, value: object) -> set[FaultKind]:
    """The kinds of which a fact is this."""
    return {kind for kind in FaultKind if getattr(FACTS[kind], fact) is value}


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


# ---- health ----------------------------------------------------------------------------------------------------------


def test_a_callers_mistake_says_nothing_of_a_backends_health() -> None:
    """Otherwise one tenant could close a backend for everybody."""
    assert kinds("verdict", Verdict.IGNORED) == SAYS_NOTHING


def test_throttling_is_no_fault_and_a_refused_key_is_none_of_the_backends() -> None:
    """The one is a cool-off, the other puts the key aside; the breaker counts neither."""
    assert kinds("verdict", Verdict.THROTTLE) == {FaultKind.THROTTLED}
    assert kinds("verdict", Verdict.CREDENTIAL) == kinds("source", Source.CREDENTIAL) == REFUSED_KEYS


def test_a_key_without_access_to_one_model_is_good_for_the_others() -> None:
    """Only an unknown key and an empty account put the key aside as a whole."""
    assert {kind for kind in REFUSED_KEYS if FACTS[kind].scope is Scope.CREDENTIAL} == {
        FaultKind.CREDENTIAL,
        FaultKind.QUOTA,
    }


def test_who_throttles_without_a_word_is_left_alone_for_a_moment() -> None:
    """It is not asked in a tight loop; who says for how long is asked when it said."""
    assert FACTS[FaultKind.THROTTLED].cool_off == 1.0
    assert all(FACTS[kind].cool_off == 0.0 for kind in FaultKind if kind is not FaultKind.THROTTLED)


# ---- trying again ----------------------------------------------------------------------------------------------------


def test_what_would_fail_everywhere_is_not_tried_again() -> None:
    """A call that is wrong in itself, and one whose caller or time is gone."""
    assert kinds("retry", Retry.NEVER) == {
        FaultKind.INVALID_REQUEST,
        FaultKind.CONTENT_REFUSED,
        *kinds("source", Source.US),
    }


def test_who_may_recover_by_a_pause_is_asked_again() -> None:
    """Busy, broken or gone for a moment; everything else is better tried elsewhere."""
    assert kinds("retry", Retry.HERE) == {
        FaultKind.THROTTLED,
        FaultKind.OVERLOADED,
        FaultKind.UPSTREAM_ERROR,
        FaultKind.CONNECT,
        FaultKind.CUT,
        FaultKind.INTEGRITY,
    }


def test_who_is_silent_is_never_asked_again_where_it_was_silent() -> None:
    """It would take the caller's time a second time, and the upstream may still be at work on the first."""
    assert all(FACTS[kind].retry is Retry.ELSEWHERE and FACTS[kind].source is Source.WAY for kind in SILENT)


def test_input_that_is_too_long_may_fit_elsewhere() -> None:
    """It is the caller's doing all the same: when it fits nowhere, 400 is what it gets."""
    facts = FACTS[FaultKind.CONTEXT_TOO_LONG]
    assert (facts.retry, facts.source, facts.status) == (Retry.ELSEWHERE, Source.CALLER, 400)


def test_what_never_left_costs_nobody_anything() -> None:
    """Such an attempt is repeated without being charged; once bytes went out that cannot be known."""
    assert kinds("sent_nothing", value=True) == {
        FaultKind.CONNECT,
        FaultKind.TLS,
        FaultKind.EGRESS_REFUSED,
        FaultKind.TIMEOUT_CONNECT,
        FaultKind.AUDIT,
        FaultKind.LIMITED,
    }


# ---- what the caller is told -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FaultKind)
def test_an_upstreams_401_402_403_never_looks_like_the_callers_own(kind: FaultKind) -> None:
    """The caller's key is fine when ours is refused."""
    assert FACTS[kind].status not in {401, 402, 403}


@pytest.mark.parametrize("kind", FaultKind)
def test_a_status_says_whose_doing_it_is(kind: FaultKind) -> None:
    """4xx tells the caller to change something, 5xx to come again; 499 is for logs, the caller is gone."""
    status = FACTS[kind].status
    if FACTS[kind].source is Source.CALLER:
        assert status == 400
    elif kind is FaultKind.THROTTLED:
        assert status == 429
    else:
        assert status >= 500 or (status == 499 and FACTS[kind].source is Source.US)


def test_a_fault_is_told_in_one_sentence() -> None:
    """Who, what, the status, our words and the upstream's, each only where there is one."""
    whole = Fault(FaultKind.THROTTLED, "for 7 s", "together-us", status=429, words="slow down")
    assert whole.sentence() == "together-us: it is throttling us (HTTP 429): for 7 s; slow down"
    assert Fault(FaultKind.THROTTLED, words="slow down").sentence() == "it is throttling us: slow down"
    assert Fault(FaultKind.CONNECT).sentence() == "it could not be reached"


def test_the_log_gets_the_sentence_without_the_upstreams_words() -> None:
    """They may repeat the prompt."""
    whole = Fault(FaultKind.THROTTLED, "for 7 s", "together-us", status=429, words="slow down")
    assert whole.logged() == "together-us: it is throttling us (HTTP 429): for 7 s"
    assert Fault(FaultKind.INVALID_REQUEST, words="no such field").logged() == "the request was refused as invalid"
