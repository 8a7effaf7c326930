"""Faults as changes of a stream's events."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.simulator.behaviour import Fault
from hybridproxy.simulator.rows import PROVIDERS
from hybridproxy.simulator.script import GARBAGE, Break, Step, error_of, with_fault
from hybridproxy.simulator.wire import Act, Event

KINDS = st.sampled_from(["cut", "stall", "garbage", "in_band_error", "no_finish", "truncate_json"])


def healthy(pieces: int) -> Iterator[Event]:
    """A stream of so many pieces."""
    yield from [(Act.COMMENT, b":"), (Act.ROLE, b"r")]
    yield from [(Act.PIECE, b"%d" % number) for number in range(pieces)]
    yield from [(Act.FINISH, b"f"), (Act.USAGE, b"u"), (Act.DONE, b"[DONE]")]


def played(fault: Fault | None, pieces: int = 5, *, role_first: bool = False, done: bool = False) -> list[Step]:
    """Play a stream with a fault."""
    return list(with_fault(healthy(pieces), fault, b"error", role_first=role_first, done=done))


def acts(steps: list[Step]) -> list[Act | Break]:
    """Name the steps."""
    return [act for act, _ in steps]


@given(KINDS, st.integers(0, 8), st.integers(0, 6))
def test_a_fault_strikes_after_its_pieces(kind: str, after: int, pieces: int) -> None:
    """As many pieces as the fault says come before it, or all of a shorter answer, but no finish."""
    steps = acts(played(Fault(kind=kind, after_pieces=after), pieces))
    before = [act for act in steps if act is Act.PIECE]
    assert len(before) == (pieces if kind == "garbage" else min(after, pieces))
    if kind != "garbage":
        assert Act.FINISH not in steps


@given(st.integers(0, 6))
def test_without_a_fault_nothing_changes(pieces: int) -> None:
    """No fault, and one that is not about events, leave the stream alone."""
    assert played(None, pieces) == list(healthy(pieces)) == played(Fault(kind="gzip"), pieces)


def test_the_role_can_go_first() -> None:
    """A stall after 0 pieces is silent after the head, or after the role where that goes out first."""
    fault = Fault(kind="stall", after_pieces=0)
    assert acts(played(fault)) == [Act.COMMENT, Break.STALL]
    assert acts(played(fault, role_first=True)) == [Act.COMMENT, Act.ROLE, Break.STALL]


def test_garbage_stands_between_good_events() -> None:
    """An event that cannot be decoded is one too many, none is missing."""
    steps = played(Fault(kind="garbage", after_pieces=2))
    assert [data for act, data in steps if act is not Act.ERROR] == [data for _, data in healthy(5)]
    assert steps[4] == (Act.ERROR, GARBAGE)
    with pytest.raises(UnicodeDecodeError):
        GARBAGE.decode()


@pytest.mark.parametrize(
    ("done", "wanted", "last"),
    [(True, None, Act.DONE), (False, None, Act.ERROR), (False, True, Act.DONE), (True, False, Act.ERROR)],
)
def test_done_after_an_error(done: bool, wanted: bool | None, last: Act) -> None:
    """`[DONE]` follows an error where the provider does so, or where the fault says."""
    assert acts(played(Fault(kind="in_band_error", done=wanted), done=done))[-1] is last


def test_a_stream_without_a_finish() -> None:
    """no_finish sends every piece, and `[DONE]` unless told otherwise."""
    steps = acts(played(Fault(kind="no_finish")))
    assert steps.count(Act.PIECE) == 5
    assert steps[-1] is Act.DONE
    assert acts(played(Fault(kind="no_finish", done=False)))[-1] is Act.PIECE


def test_what_an_error_says() -> None:
    """A fault's own words win over the provider's usual error; a named one brings its provider's shape."""
    vllm = PROVIDERS["vllm"]
    assert error_of(vllm, Fault(kind="in_band_error")) == (vllm, vllm.broken)
    _, told = error_of(vllm, Fault(kind="status", status=418, message="tea", headers={"a": "b"}))
    assert (told.status, told.message, told.headers) == (418, "tea", (("a", "b"),))
    row, named = error_of(vllm, Fault(kind="in_band_error", name="dashscope.limit_requests"))
    assert (row.name, named.code) == ("dashscope", "limit_requests")
