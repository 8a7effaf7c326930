"""What goes upstream is our own serialisation, in the provider's spelling."""

from typing import Any

import orjson
import pytest

from hybridproxy.dialects.openai import decode_request
from hybridproxy.gateway.outgoing import outgoing_body
from hybridproxy.model.call import Operation
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS


def sent(name: str, /, pins: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return the body a provider gets for a chat with these fields."""
    body = {"model": "qwen", "messages": [{"role": "user", "content": "hi"}], **fields}
    call = decode_request(Operation.CHAT, orjson.dumps(body))
    out: dict[str, Any] = orjson.loads(outgoing_body(call, PROVIDERS[name], "own-name", pins))
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
    body = {"model": "qwen", "messages": [{"role": "user", "content": "hi"}], "logprobs": True, "stream": True}
    call = decode_request(Operation.CHAT, orjson.dumps(body))
    for provider in PROVIDERS.values():
        outgoing_body(call, provider, "x", ("p",))
    assert call.body == body
