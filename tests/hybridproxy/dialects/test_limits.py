"""Tests of how much a body may hold."""

import time
from typing import Any

import orjson
import pytest

from hybridproxy.dialects import limits
from hybridproxy.dialects.limits import MAX_BRACKETS, MAX_DEPTH, MAX_FIELDS, MAX_VALUES, excess, excess_before_parsing

MEGABYTE = 1 << 20


def nested(depth: int) -> dict[str, Any]:
    """A body of so many levels."""
    value: Any = []
    for _ in range(depth - 2):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize("character", [b"[", b"{", b","])
def test_what_would_be_too_much_json_is_fine_as_text(character: bytes) -> None:
    """A prompt may be a megabyte of source code; only what stands outside the strings counts."""
    text = character * (MAX_VALUES + MAX_BRACKETS)
    assert excess_before_parsing(b'{"prompt":"' + text + b'","a":"\\"' + text + b'\\\\"}') is None


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"[]" * (MAX_BRACKETS + 1), "objects and arrays"),
        (b"{" * (MAX_BRACKETS + 1), "objects and arrays"),
        (b'{"a":[' + b"1," * (MAX_VALUES + 1) + b"1]}", "values"),
    ],
)
def test_too_many_brackets_or_values_are_refused_before_parsing(body: bytes, what: str) -> None:
    """Parsing them would block a worker and take hundreds of megabytes."""
    found = excess_before_parsing(body)
    assert found is not None
    assert found.code == "too_complex"
    assert what in found.message


def test_as_many_as_allowed_pass() -> None:
    """The bounds refuse nothing below them."""
    assert excess_before_parsing(b"[" * MAX_BRACKETS + b"," * MAX_VALUES) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[]" * (15 * MEGABYTE // 2),
        b"[" * (15 * MEGABYTE),
        b'"' * (15 * MEGABYTE),
        b'"",' * (5 * MEGABYTE),
        b'"\\"' * (5 * MEGABYTE) + b"[" * MAX_BRACKETS * 2,
        b'\\"\\\\"' * (3 * MEGABYTE) + b"," * MAX_VALUES * 2,
        b"," * MAX_VALUES * 2 + b'"' + b"\\" * (15 * MEGABYTE),
        b"{" + b",".join(b'"k%07d":1' % i for i in range(1_000_000)) + b"}",
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_hostile_body_is_judged_in_bounded_time(body: bytes) -> None:
    """Fifteen megabytes of anything hold a worker for a tenth of a second, twenty times that on a slow machine."""
    took: list[float] = []
    for _ in range(3):
        begun = time.thread_time()
        excess_before_parsing(body)
        took.append(time.thread_time() - begun)
    assert min(took) < 2.0


def test_a_body_is_as_deep_as_allowed_and_no_deeper() -> None:
    """An upstream's parser may be recursive; ours is not."""
    assert excess(nested(MAX_DEPTH)) is None
    found = excess(nested(MAX_DEPTH + 1))
    assert found is not None
    assert found.code == "too_complex"


def test_a_body_has_as_many_fields_as_allowed_and_no_more() -> None:
    """Each field of the body costs time on the way; no request needs a thousand."""
    fields: dict[str, Any] = {str(i): None for i in range(MAX_FIELDS)}
    assert excess(fields) is None
    found = excess({**fields, "one more": None})
    assert found is not None
    assert "fields" in found.message


@pytest.mark.parametrize("number", [2**53, -(2**53), 0.1, 1e15, True, None, "9" * 40])
def test_numbers_that_stay_what_they_are_pass(number: Any) -> None:
    """Every integer up to 2^53 survives any parser, and digits in a text are text."""
    assert excess({"a": [{"b": number}]}) is None


@pytest.mark.parametrize("number", [b"9007199254740993", b"-9007199254740993", b"1" * 40, b"1e308", b"-1e17"])
def test_numbers_that_another_parser_may_read_differently_are_refused(number: bytes) -> None:
    """A forty-digit integer becomes a float on its way, so what is forwarded would not be what was judged."""
    found = excess(orjson.loads(b'{"a":[{"b":' + number + b"}]}"))
    assert found is not None
    assert found.code == "number_too_large"


def test_the_bounds_leave_room_for_real_requests() -> None:
    """A hundred thousand messages, or a token array of the largest embedding request, is no attack."""
    assert MAX_BRACKETS > 100_000
    assert MAX_VALUES > 300_000
    assert limits.MAX_INTEGER == 2**53
