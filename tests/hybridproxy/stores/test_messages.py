"""What goes to Redis and comes from it: opaque, bounded, and believed only in its right form."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.stores.marks import MAX_REASON, Mark, MarkKind
from hybridproxy.stores.messages import (
    KINDS,
    MAX_NUMBER,
    MAX_SHARED,
    PoisonedError,
    Reply,
    Verdicts,
    digest,
    mark_id,
    milliseconds,
    parse,
    shared_mark,
)

NAME = "0123456789abcdef"
GOOD = {
    "now": 1_800_000_000_000,
    "live": 2,
    "junk": 0,
    "targets": {NAME: ["open", 4500, 1_800_000_000_000, "c"]},
    "cools": {NAME: 2500},
    "marks": {f"{NAME} D": [1_800_000_000_000, 1_800_000_001_500, "off for %C3%BC"]},
    "granted": {NAME: 1_800_000_000_001},
    "renewed": {NAME: 1},
}
BAD_NUMBERS = [-1, 1.5, MAX_NUMBER, True, None, "7", [], {}]


def test_an_answer_is_read() -> None:
    """All parts, with times in seconds and a reason as it was written."""
    assert parse(orjson.dumps(GOOD)) == Reply(
        now=1_800_000_000_000,
        live=2,
        junk=0,
        targets={NAME: Verdicts("open", 4.5, 1_800_000_000_000, unreachable=True)},
        cools={NAME: 2.5},
        marks={f"{NAME} D": (1_800_000_000_000, 1_800_000_001.5, "off for ü")},
        granted={NAME: 1_800_000_000_001},
        renewed=frozenset({NAME}),
    )


def test_times_from_redis_are_bounded() -> None:
    """However long a target is said to stay away, it is not believed beyond the bound."""
    reply = parse(orjson.dumps(GOOD | {"targets": {NAME: ["open", 10**13, 1, "f"]}, "cools": {NAME: 10**13}}))
    assert (reply.targets[NAME].seconds, reply.cools[NAME]) == (MAX_SHARED, MAX_SHARED)


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("place", ["now", "live", "junk", "left", "epoch", "cool", "version", "until", "granted"])
def test_numbers_that_are_none_are_refused(place: str, bad: object) -> None:
    """Negative, broken, giant or of another kind: the whole answer is not believed."""
    changed: dict[str, object] = {
        "left": {"targets": {NAME: ["open", bad, 1, "f"]}},
        "epoch": {"targets": {NAME: ["open", 1, bad, "f"]}},
        "cool": {"cools": {NAME: bad}},
        "version": {"marks": {NAME: [bad, 1, ""]}},
        "until": {"marks": {NAME: [1, bad, ""]}},
        "granted": {"granted": {NAME: bad}},
    }.get(place, {place: bad})
    with pytest.raises(PoisonedError):
        parse(orjson.dumps(GOOD | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"targets": []},
        {"targets": {NAME: ["ajar", 1, 1, "f"]}},
        {"targets": {NAME: ["open", 1, 1]}},
        {"targets": {NAME * 2: ["open", 1, 1, "f"]}},
        {"targets": {NAME: 7}},
        {"marks": {NAME: [1, 1, 7]}},
        {"renewed": 7},
    ],
    ids=str,
)
def test_other_forms_are_refused(changed: dict[str, object]) -> None:
    """Another shape is not believed either."""
    with pytest.raises(PoisonedError):
        parse(orjson.dumps(GOOD | changed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_whatever_stands_in_an_answer_it_is_read_or_refused(place: str, found: object) -> None:
    """Nothing else can happen."""
    try:
        assert isinstance(parse(orjson.dumps(GOOD | {place: found}, option=orjson.OPT_NON_STR_KEYS)), Reply)
    except PoisonedError:
        return


@given(st.binary() | st.none() | st.integers() | st.lists(st.binary()))
def test_what_is_no_answer_is_refused(answer: object) -> None:
    """Other types of Redis and bytes that are no JSON."""
    with pytest.raises(PoisonedError):
        parse(answer)


def test_digests_tell_apart_what_differs() -> None:
    """Sixteen hexadecimal digits, of the parts and where they end."""
    assert digest(["a", "bc"]) != digest(["ab", "c"])
    assert len(digest(["a"])) == 16
    assert digest(["a"], 8) == digest(["a"])[:8]


def test_every_kind_of_mark_has_its_letter() -> None:
    """And is found by it."""
    assert set(KINDS.values()) == set(MarkKind)


@given(st.text(max_size=MAX_REASON))
def test_a_reason_goes_through_in_printable_ascii(reason: str) -> None:
    """Whatever an operator writes, Redis holds none of the characters that would need care."""
    mark = Mark(("backend", "b"), MarkKind.DRAIN, reason.encode(errors="replace").decode(), 100.0, 5)
    version, until, sent = shared_mark(mark)
    assert sent.isascii()
    assert sent.isprintable() or not sent
    answer = GOOD | {"marks": {mark_id(mark): [version, until, sent]}}
    assert parse(orjson.dumps(answer)).marks == {mark_id(mark): (5, 100.0, mark.reason)}


@pytest.mark.parametrize(("seconds", "expected"), [(-1.0, 0), (0.0015, 1), (2.5, 2500), (1e9, 5000), (float("inf"), 5000)])
def test_milliseconds_are_bounded(seconds: float, expected: int) -> None:
    """Between nothing and the most."""
    assert milliseconds(seconds, 5.0) == expected
