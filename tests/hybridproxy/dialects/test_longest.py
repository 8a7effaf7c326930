"""The bound that a tenant's answers have: sent where its caller sets none, and never above it."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.longest import bounded
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.translator import Asking
from hybridproxy.metering.estimate import answer_tokens
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect

MESSAGES = [{"role": "user", "content": "hello"}]


def call(dialect: Dialect, operation: Operation = Operation.CHAT, **body: Any) -> Call:
    """Return the call that a caller of a dialect makes."""
    asking = Asking(operation, "text-generation" if dialect is Dialect.DASHSCOPE else "")
    return TRANSLATORS[dialect].decode(asking, orjson.dumps({"model": "qwen", **body}))


@pytest.mark.parametrize(
    ("made", "said", "native"),
    [
        (call(Dialect.OPENAI, messages=MESSAGES), {"max_completion_tokens": 50}, None),
        (call(Dialect.OPENAI, Operation.COMPLETION, prompt="hello"), {"max_tokens": 50}, None),
        (  # the other name means nothing there
            call(Dialect.OPENAI, Operation.COMPLETION, prompt="hello", max_completion_tokens=5),
            {"max_tokens": 50},
            None,
        ),
        (call(Dialect.OPENAI, messages=MESSAGES, n_predict=5), {"max_completion_tokens": 50}, None),
        (call(Dialect.RESPONSES, input="hello"), {"max_completion_tokens": 50}, {"max_output_tokens": 50}),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}),
            {"max_completion_tokens": 50},
            {"parameters": {"max_completion_tokens": 50}},
        ),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}, parameters={"seed": 1}),
            {"max_completion_tokens": 50},
            {"parameters": {"seed": 1, "max_completion_tokens": 50}},
        ),
    ],
)
def test_a_call_without_a_bound_gets_one(made: Call, said: dict[str, int], native: Any) -> None:
    """In the form between all dialects, and in the caller's own words where these may go upstream."""
    after = bounded(made, 50)
    assert after.body == {**made.body, **said}
    assert after.native == (None if native is None else {**(made.native or {}), **native})
    assert answer_tokens(after) == 50
    assert bounded(after, 50) is after


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=51), "max_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=5, max_completion_tokens=51), "max_completion_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens="51"), "max_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=5.0), "max_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=True), "max_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=0), "max_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=5, max_completion_tokens=-1), "max_completion_tokens"),
        (call(Dialect.OPENAI, messages=MESSAGES, max_tokens=5, n_predict=-1), "n_predict"),
        (call(Dialect.OPENAI, Operation.COMPLETION, prompt="hello", max_tokens=5, max_new_tokens=51), "max_new_tokens"),
        (call(Dialect.RESPONSES, input="hello", max_output_tokens=51), "max_output_tokens"),
        (call(Dialect.RESPONSES, input="hello", max_output_tokens=5, max_tokens=51), "max_tokens"),
        (call(Dialect.ANTHROPIC, messages=MESSAGES, max_tokens=51), "max_tokens"),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}, parameters={"max_tokens": 51}),
            "parameters.max_tokens",
        ),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}, parameters={"max_completion_tokens": 51}),
            "parameters.max_completion_tokens",
        ),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}, parameters={"max_tokens": 5, "n_predict": 51}),
            "parameters.n_predict",
        ),
    ],
)
def test_one_that_asks_for_more_is_refused_by_the_name_of_its_field(made: Call, field: str) -> None:
    """It is not lowered: the caller would not know why its answer breaks off. Nothing, or less, is no bound to some."""
    with pytest.raises(RequestError) as raised:
        bounded(made, 50)
    assert (raised.value.status, raised.value.param) == (400, field)
    assert f"'{field}' must be a whole number from 1 to 50" in raised.value.message


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (call(Dialect.OPENAI, messages=MESSAGES, MAX_TOKENS=51), "MAX_TOKENS"),
        (call(Dialect.RESPONSES, input="hello", max_output_tokens=5, Max_Tokens=51), "Max_Tokens"),
        (
            call(Dialect.DASHSCOPE, input={"messages": MESSAGES}, parameters={"Max_Tokens": 51}),
            "parameters.Max_Tokens",
        ),
    ],
)
def test_a_bound_in_other_letters_is_refused(made: Call, field: str) -> None:
    """Some servers take it for the same name."""
    with pytest.raises(RequestError) as raised:
        bounded(made, 50)
    assert (raised.value.status, raised.value.param) == (400, field)


@pytest.mark.parametrize(
    "made",
    [
        call(Dialect.OPENAI, messages=MESSAGES, max_tokens=50),
        call(Dialect.ANTHROPIC, messages=MESSAGES, max_tokens=1),
        call(Dialect.ANTHROPIC, messages=MESSAGES, max_tokens=0),
        call(Dialect.OPENAI, Operation.EMBEDDING, input="hello"),
        replace(call(Dialect.ANTHROPIC, messages=MESSAGES, max_tokens=99), operation=Operation.COUNT),
    ],
)
def test_what_has_a_bound_or_no_answer_is_left_alone(made: Call) -> None:
    """Embeddings and counts have no answer that could be long, nor has what only fills a cache."""
    assert bounded(made, 50) is made
