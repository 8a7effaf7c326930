"""Tests of what is judged of every request alike."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.request import RequestError, flag, model_of, parsed, spelled

EXACT = frozenset({"model", "stream"})


def refused(data: bytes) -> RequestError:
    """Return the error that a body is refused with."""
    with pytest.raises(RequestError) as caught:
        parsed(data, EXACT)
    return caught.value


def test_a_body_is_one_json_object() -> None:
    """Of repeated keys the last wins: only our own serialisation goes on."""
    assert parsed(b'{"model":"a","model":"b","Other":1}', EXACT) == {"model": "b", "Other": 1}


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "invalid_json", "the body is not valid JSON"),
        (b'{"a":}', "invalid_json", "at line 1, column 6"),
        (b"[]", "invalid_json", "the body must be a JSON object"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "too_complex", "nested deeper"),
        (b'{"a":[' + b"{}," * 250_000 + b"1]}", "too_complex", "more than 200000 objects"),
        (b'{"a":9007199254740993}', "number_too_large", "2^53"),
    ],
)
def test_what_is_no_body_is_refused_with_the_reason(data: bytes, code: str, words: str) -> None:
    """Counted before it is parsed, and looked at after."""
    error = refused(data)
    assert (error.code, error.param) == (code, None)
    assert words in error.message


def test_a_field_that_is_judged_has_one_spelling() -> None:
    """A lenient upstream would take another for it, and nobody would have judged that."""
    error = refused(b'{"Model":"x"}')
    assert (error.message, error.param) == (
        "unknown field 'Model': names are case-sensitive, write 'model'",
        "Model",
    )


def test_a_field_within_another_is_named_with_it() -> None:
    """So that the caller finds it."""
    with pytest.raises(RequestError, match="write 'tools'") as caught:
        spelled({"tools": [], "Tools": []}, {"tools"}, "parameters.")
    assert caught.value.param == "parameters.Tools"
    with pytest.raises(RequestError) as caught:
        flag({"stream": 1}, "stream", "parameters.")
    assert caught.value.param == "parameters.stream"


def test_an_error_has_a_status() -> None:
    """Nearly always that of a request that was wrong."""
    assert (RequestError("no").status, RequestError("no", status=403).status) == (400, 403)


@pytest.mark.parametrize("name", ["qwen3-235b", "Qwen/Qwen3", "qwen.qwen3-v1:0", "@slug/m"])
def test_a_model_is_named(name: str) -> None:
    """As providers and operators name them."""
    assert model_of({"model": name}) == name


@pytest.mark.parametrize("name", [None, 1, "", "a b", "x" * 129, "é", "a\n"])
def test_what_is_no_name_of_a_model_is_refused(name: object) -> None:
    """It goes into headers and logs."""
    with pytest.raises(RequestError, match="must be a name of 1 to 128") as caught:
        model_of({"model": name})
    assert caught.value.param == "model"


def test_a_flag_is_true_or_false() -> None:
    """Or it is not there."""
    assert (flag({"stream": True}, "stream"), flag({"stream": None}, "stream"), flag({}, "stream")) == (
        True,
        False,
        False,
    )
    with pytest.raises(RequestError, match="'stream' must be true or false"):
        flag({"stream": "yes"}, "stream")


@given(st.binary())
def test_any_bytes_give_an_object_or_a_request_error(data: bytes) -> None:
    """Nothing else comes out, whatever goes in."""
    with suppress(RequestError):
        assert isinstance(parsed(data, EXACT), dict)
