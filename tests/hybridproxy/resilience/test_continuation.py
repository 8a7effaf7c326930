"""Tests of which calls may go on with another backend."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects.openai import decode_request
from hybridproxy.model.call import Call, Operation
from hybridproxy.resilience.continuation import replayable, resumable

USER = {"role": "user", "content": "hi"}


def chat(**fields: Any) -> Call:
    """A stream of a chat with these fields."""
    body = {"model": "m", "messages": [USER], "stream": True, **fields}
    return decode_request(Operation.CHAT, orjson.dumps(body))


def completion(**fields: Any) -> Call:
    """A stream of a text completion with these fields."""
    body = {"model": "m", "prompt": "Once", "stream": True, **fields}
    return decode_request(Operation.COMPLETION, orjson.dumps(body))


PLAIN: list[dict[str, Any]] = [
    {},
    {"n": 1, "temperature": 0.7, "max_tokens": 50, "stop": ["x"], "unknown": {}},
    {"tools": [], "functions": None, "logprobs": False, "top_logprobs": None, "regex": None},
    {"response_format": None},
    {"response_format": {"type": "text"}},
    {"enable_thinking": False, "thinking_budget": 0, "include_reasoning": False},
    {"reasoning": None, "reasoning_effort": "none"},
    {"reasoning": {"effort": "none"}},
    {"reasoning": {"enabled": False}},
    {"thinking": {"type": "disabled"}},
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": None}},
    {"chat_template_kwargs": None},
    {"messages": [{"role": "assistant", "content": "hello"}, USER]},
]

NOT_PLAIN: list[dict[str, Any]] = [
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema"}},
    {"response_format": {}},
    {"response_format": "json"},
    {"structured_outputs": {"regex": "a"}},
    {"guided_json": {"type": "object"}},
    {"regex": "a+"},
    {"ebnf": "root ::= 'a'"},
    {"audio": {"voice": "x"}},
    {"input_ids": [1]},
    {"enable_thinking": True},
    {"thinking": True},
    {"thinking": {"type": "enabled"}},
    {"thinking_budget": 1000},
    {"thinking_token_budget": 1000},
    {"reasoning": {}},
    {"reasoning": {"effort": "low"}},
    {"reasoning_effort": "minimal"},
    {"reasoning_effort": 0.5},
    {"include_reasoning": True},
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"chat_template_kwargs": {"thinking": True}},
    {"messages": [USER, {"role": "assistant", "content": "hel"}]},
]

NOT_SINGLE: list[dict[str, Any]] = [
    {"stream": False},
    {"n": 2},
    {"tools": [{"type": "function"}]},
    {"functions": [{"name": "f"}]},
    {"logprobs": True},
    {"logprobs": 0},
    {"top_logprobs": 0},
    {"prompt_logprobs": 1},
    {"return_token_ids": True},
]


@pytest.mark.parametrize("fields", PLAIN, ids=str)
def test_a_plain_answer_may_be_written_on(fields: dict[str, Any]) -> None:
    """Also where the call says in so many words that it wants nothing special."""
    assert resumable(chat(**fields))
    assert replayable(chat(**fields))


@pytest.mark.parametrize("fields", NOT_PLAIN, ids=str)
def test_what_is_more_than_plain_text_is_only_repeated(fields: dict[str, Any]) -> None:
    """A grammar, a thought, a message already begun: no other backend could take it up in the middle."""
    assert not resumable(chat(**fields))
    assert replayable(chat(**fields))


@pytest.mark.parametrize("fields", NOT_SINGLE, ids=str)
def test_what_is_not_one_stream_of_text_does_not_go_on(fields: dict[str, Any]) -> None:
    """Several answers, tools and log probabilities can be neither joined nor compared."""
    assert not resumable(chat(**fields))
    assert not replayable(chat(**fields))


def test_a_completion_is_only_repeated() -> None:
    """No backend's native continuation is about a prompt; zero log probabilities are asked for, and are some."""
    assert not resumable(completion())
    assert replayable(completion())
    assert not replayable(completion(prompt=["Once", "Twice"]))
    assert not replayable(completion(logprobs=0))


def test_what_only_its_own_dialect_can_say_does_not_go_on() -> None:
    """Parts are joined in OpenAI's form, so such a call could only go on without what it is bound to."""
    call = replace(chat(), bound=("parameters.enable_search",))
    assert not resumable(call)
    assert not replayable(call)


def test_an_answer_that_the_caller_began_does_not_go_on() -> None:
    """Its beginning is not ours to repeat."""
    assert not replayable(replace(chat(), begun=True))


def test_an_embedding_does_not_go_on() -> None:
    """It does not stream."""
    call = decode_request(Operation.EMBEDDING, b'{"model":"m","input":"a","stream":true}')
    assert not resumable(call)
    assert not replayable(call)


@pytest.mark.parametrize("messages", [None, [], ["x"], "x"])
def test_messages_that_nobody_judged_are_no_reason_to_break(messages: Any) -> None:
    """A call made elsewhere than in the dialect is judged all the same."""
    body = {"messages": messages}
    assert resumable(Call(Operation.CHAT, "m", True, False, 1, frozenset(), 9, body))


def test_what_only_one_dialect_can_say_stays_where_it_is() -> None:
    """Parts are joined in OpenAI's form, and asked for in it."""
    bound = replace(chat(), bound=("mcp_servers",))
    assert not resumable(bound)
    assert not replayable(bound)
