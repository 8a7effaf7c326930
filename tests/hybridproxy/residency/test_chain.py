"""The form of the audit log: lines that anybody can check, and nothing that is nearly one."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.residency import chain
from hybridproxy.residency.chain import FIRST, State, append, last_of, named, segment_name, taken_apart

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def sign(message: bytes) -> bytes:
    """Stand in for a signature."""
    return hashlib.sha512(message).digest()


def test_a_line_is_checked_without_our_code() -> None:
    """The hash is over the hash before and the bytes of the record as they stand; the keys are sorted."""
    state, line = append(State(), {"kind": "policy", "at": 1, "policy": "p"})
    digest, signature, body = line.removesuffix(b"\n").split(b" ", 2)
    assert (signature, body) == (b"-", b'{"at":1,"kind":"policy","policy":"p","seq":0}')
    assert digest.decode() == hashlib.sha256(bytes(32) + body).hexdigest()
    _, second = append(state, {"kind": "head", "at": 2, "boot": "b"}, sign)
    digest, signature, body = second.removesuffix(b"\n").split(b" ", 2)
    assert digest.decode() == hashlib.sha256(state.hash + body).hexdigest()
    assert bytes.fromhex(signature.decode()) == sign(b"hybridproxy audit head\n" + bytes.fromhex(digest.decode()))


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_every_record_comes_back_as_it_was(more: dict[str, object]) -> None:
    """Whatever text stands in it: a line has no line end inside, and loses nothing."""
    record = {**more, "kind": "lost", "at": 1}
    state, line = append(State(7, FIRST), dict(record))
    assert line.count(b"\n") == 1
    found = taken_apart(line[:-1])
    assert found is not None
    assert found.record == record | {"seq": 7} == json.loads(found.body)
    assert (found.hash, found.signature, state.seq) == (state.hash, b"", 8)


@given(st.lists(JSON, min_size=1, max_size=8), st.data())
def test_no_two_logs_have_the_same_hash(values: list[object], data: st.DataObject) -> None:
    """Whatever is changed in any record changes the hash of every later one."""
    at = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(JSON.filter(lambda value: json.dumps(value) != json.dumps(values[at])))

    def states(values: list[object]) -> list[bytes]:
        state, found = State(), []
        for value in values:
            state, _ = append(state, {"kind": "lost", "value": value})
            found.append(state.hash)
        return found

    one, two = states(values), states([*values[:at], other, *values[at + 1 :]])
    assert one[:at] == two[:at]
    assert not set(one[at:]) & set(two[at:])


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"x", b"- -", b"ab - {}", b"zz" * 32 + b" - {}", b"AB" * 32 + b" - {}", b"ab" * 32 + b" abc {}",
        b"ab" * 32 + b" " + b"AB" * 64 + b" {}", b"\xff" * 64 + b" - {}", b"ab" * 31 + b"a  - {}",
        b"ab" * 32 + b" - " + b"x" * chain.MAX_LINE,
    ],
)  # fmt: skip
def test_what_is_nearly_a_line_is_none(raw: bytes) -> None:
    """No second spelling of a hash or a signature counts as the same."""
    assert taken_apart(raw) is None


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"{}", b'{"kind":"x","seq":1}', b'{"kind":"head"}', b'{"kind":"head","seq":true}']
)
def test_a_line_without_a_record_of_ours_keeps_its_hash(body: bytes) -> None:
    """So that what follows it can still be checked."""
    found = taken_apart(b"ab" * 32 + b" - " + body)
    assert found is not None
    assert (found.record, found.hash) == (None, b"\xab" * 32)


def test_files_sort_as_they_were_begun() -> None:
    """By the chain's beginning, then by segment; the name tells both."""
    names = [segment_name("ff", 999, 0), segment_name("00", 1000, 0), segment_name("00", 1000, 10)]
    assert names == sorted(names)
    assert named("folder/" + names[2]) == ("00", 10)
    assert named("else.audit") == ("else.audit", 0)
    assert named("a-b-c.audit") == ("a-b-c.audit", 0)


def test_the_end_of_a_file_is_its_last_whole_line() -> None:
    """A torn one is told, and is not it."""
    _, line = append(State(3, FIRST), {"kind": "end", "at": 1})
    found, torn = last_of(b"rest of a line\n" + line)
    assert found is not None
    assert found.record == {"kind": "end", "at": 1, "seq": 3}
    assert not torn
    assert last_of(line + line[:-1]) == (found, True)
    assert last_of(line[:-1]) == (None, True)
    assert last_of(b"garbage\n") == (None, False)
    assert last_of(b"ab" * 32 + b" - {}\n") == (None, False)
    assert last_of(b"") == (None, False)
