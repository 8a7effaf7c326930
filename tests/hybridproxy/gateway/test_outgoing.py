"""What goes upstream is our own serialisation, in the provider's spelling."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects.openai import decode_request
from hybridproxy.gateway.outgoing import MAX_PRIORITY, outgoing_body, outgoing_request
from hybridproxy.model.backend import Timeouts
from hybridproxy.model.call import Operation
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS
from tests.support.make import backend

USER = {"role": "user", "content": "hi"}


def sent(name: str, /, pins: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return the body a provider gets for a chat with these fields."""
    return sent_again(name, None, pins=pins, **fields)


def sent_again(
    name: str, said: str | None, spent: int = 0, *, pins: tuple[str, ...] = (), running: bool = False, **fields: Any
) -> dict[str, Any]:
    """Return the body a provider gets for a chat of which this was said."""
    call = decode_request(Operation.CHAT, orjson.dumps({"model": "qwen", "messages": [USER], **fields}))
    data = outgoing_body(call, PROVIDERS[name], "own-name", pins, said=said, running_usage=running, spent=spent)
    out: dict[str, Any] = orjson.loads(data)
    return out


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_gets_its_own_name_of_the_model_and_no_control_field(provider: str) -> None:
    """Nothing by which a client could steer the upstream passes, whoever the upstream is."""
    steering: dict[str, Any] = dict.fromkeys(CONTROL_FIELDS, "x")
    body = sent(provider, **steering, temperature=0.5, top_k=7)
    assert body["model"] == "own-name"
    assert not CONTROL_FIELDS & set(body)
    assert (body["temperature"], body["top_k"]) == (0.5, 7)


def test_usage_is_asked_for_where_it_does_not_come_by_itself() -> None:
    """DashScope and vLLM have to be asked; what else the caller wanted of the stream stays."""
    assert sent("dashscope", stream=True)["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "chunk": 1}
    assert sent("vllm", stream=True, stream_options=options)["stream_options"] == {"include_usage": True, "chunk": 1}
    assert "stream_options" not in sent("together", stream=True, stream_options=options)
    assert "stream_options" not in sent("vllm", stream_options=options)


def test_together_gets_its_own_spelling() -> None:
    """Fields it does not know are left out or renamed, and logprobs is a number."""
    body = sent("together", max_completion_tokens=5, logprobs=True, top_logprobs=50, store=True)
    assert body["max_tokens"] == 5
    assert body["logprobs"] == 20
    assert not {"max_completion_tokens", "top_logprobs", "store"} & set(body)


def test_openrouters_pins_are_ours() -> None:
    """With pins the provider object says that only those may be used, and nothing may be kept."""
    assert sent("openrouter", ("deepinfra",))["provider"] == {
        "only": ["deepinfra"],
        "order": ["deepinfra"],
        "allow_fallbacks": False,
        "data_collection": "deny",
        "zdr": True,
        "require_parameters": True,
    }
    assert "provider" not in sent("openrouter")


def test_the_callers_body_is_not_changed() -> None:
    """A second attempt at another provider starts from what the caller sent."""
    body = {"model": "qwen", "messages": [USER], "logprobs": True, "stream": True, "stream_options": {}}
    body |= {"max_tokens": 9, "min_tokens": 3, "echo": True, "enable_thinking": True}
    call = decode_request(Operation.CHAT, orjson.dumps(body))
    for provider in PROVIDERS.values():
        said = "Hello" if provider.continuation else None
        outgoing_body(call, provider, "x", ("p",), said=said, running_usage=True, spent=5)
    assert call.body == body


# ---- continuation ----------------------------------------------------------------------------------------------------


def test_dashscope_writes_on_from_a_partial_message() -> None:
    """Without thinking, whatever the caller's words about it were."""
    body = sent_again("dashscope", "Hello", enable_thinking=None)
    assert body["messages"] == [USER, {"role": "assistant", "content": "Hello", "partial": True}]
    assert body["enable_thinking"] is False


def test_vllm_leaves_the_last_message_open() -> None:
    """And says nothing again that was said."""
    body = sent_again("vllm", "Hello", echo=True)
    assert body["messages"] == [USER, {"role": "assistant", "content": "Hello"}]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert "echo" not in body


@pytest.mark.parametrize("given", [None, {}, "think", {"enable_thinking": True}])
def test_vllms_template_is_told_not_to_think(given: Any) -> None:
    """A thinking model would take what was said for its thought, whatever the caller had asked for."""
    body = sent_again("vllm", "Hello", chat_template_kwargs=given)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_rest_of_what_the_template_is_told_stays() -> None:
    """Only thinking is switched off, and only where an answer is written on."""
    given = {"enable_thinking": True, "documents": []}
    body = sent_again("vllm", "Hello", chat_template_kwargs=given)
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "documents": []}
    assert sent("vllm", chat_template_kwargs=given)["chat_template_kwargs"] == given
    assert "chat_template_kwargs" not in sent("vllm")
    assert "chat_template_kwargs" not in sent_again("dashscope", "Hello")


def test_openrouter_needs_no_flag() -> None:
    """The assistant's message that stands last is written on; our pins stay."""
    body = sent_again("openrouter", "Hello", pins=("deepinfra",))
    assert body["messages"] == [USER, {"role": "assistant", "content": "Hello"}]
    assert body["provider"]["only"] == ["deepinfra"]
    assert set(body) == {"model", "messages", "provider"}


@pytest.mark.parametrize("provider", ["together", "openai", "tensorrt-llm"])
def test_no_prompt_is_made_up_for_one_that_does_not_continue(provider: str) -> None:
    """The plan has to leave it out."""
    with pytest.raises(ValueError, match=f"'{provider}' does not continue the answer of a chat call"):
        sent_again(provider, "Hello")


def test_only_a_chat_is_continued() -> None:
    """A completion has no messages."""
    call = decode_request(Operation.COMPLETION, b'{"model":"m","prompt":"Once"}')
    with pytest.raises(ValueError, match="'vllm' does not continue the answer of a completion call"):
        outgoing_body(call, PROVIDERS["vllm"], "x", (), said="upon")


@pytest.mark.parametrize("provider", ["dashscope", "vllm", "sglang", "openrouter"])
def test_where_nothing_but_whitespace_was_said_the_call_is_asked_anew(provider: str) -> None:
    """An empty message cannot be written on."""
    assert sent_again(provider, "") == sent(provider)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"max_tokens": 100, "max_completion_tokens": 50}, {"max_tokens": 70, "max_completion_tokens": 20}),
        ({"max_tokens": 30, "min_tokens": 40}, {"max_tokens": 1, "min_tokens": 10}),
        ({"max_tokens": 10, "min_tokens": 10}, {"max_tokens": 1, "min_tokens": 0}),
        ({"max_tokens": "10", "max_completion_tokens": True}, {"max_tokens": "10", "max_completion_tokens": True}),
        ({"max_tokens": None, "max_completion_tokens": 0}, {"max_tokens": None, "max_completion_tokens": 0}),
        ({}, {}),
    ],
)
def test_the_limits_shrink_by_what_was_spent(given: dict[str, Any], left: dict[str, Any]) -> None:
    """Both parts together are as long as the caller allowed; what is no limit stays for the upstream to refuse."""
    body = sent_again("vllm", "Hello", 30, **given)
    assert {name: value for name, value in body.items() if "tokens" in name} == left


def test_running_usage_is_asked_for_where_it_is_known() -> None:
    """Of a stream, beside what the caller wants of it."""
    options = {"include_usage": True, "continuous_usage_stats": True, "chunk": 1}
    assert sent_again("vllm", None, running=True, stream=True, stream_options={"chunk": 1})["stream_options"] == options
    assert sent_again("dashscope", None, running=True, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent_again("vllm", None, running=True)


def owned(name: str, owner: Tenant | None, *, by_priority: bool = False, **fields: Any) -> dict[str, Any]:
    """Return the body a provider's backend gets for a tenant's chat, without what every chat has."""
    call = decode_request(Operation.CHAT, orjson.dumps({"model": "qwen", "messages": [USER], **fields}))
    place = replace(backend("a", provider=name), priority=by_priority)
    target = Target(place, place.endpoints[0], place.credentials[0], "own-name", Timeouts())
    body: dict[str, Any] = orjson.loads(outgoing_request(call, target, "id", owner=owner).body)
    return {name: value for name, value in body.items() if name not in {"model", "messages"}}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_tenants_salt_goes_to_engines_that_take_one(provider: str) -> None:
    """Whatever the caller put there; a call of our own has none, and neither has a tenant without."""
    salted = {"cache_salt": "s"} if provider in {"vllm", "sglang"} else {}
    assert owned(provider, Tenant("t", "default", salt="s"), cache_salt="x", extra_key="y") == salted
    assert owned(provider, Tenant("t", "default"), cache_salt="x") == {}
    assert owned(provider, None, cache_salt="x") == {}


@pytest.mark.parametrize(
    ("own", "asked", "sent"),
    [(0, None, 0), (0, 3, 3), (0, -3, 0), (5, 3, 5), (5, 9, 9), (5, 10**12, MAX_PRIORITY), (5, "9", 5), (0, True, 0)],
)
def test_a_priority_is_lowered_and_never_raised(own: int, asked: Any, sent: int) -> None:
    """The later of the two, within bounds; the engine's own default is left out."""
    tenant = Tenant("t", "default", priority=own)
    assert owned("vllm", tenant, by_priority=True, priority=asked) == ({"priority": sent} if sent else {})
    assert owned("vllm", tenant, priority=asked) == {}
