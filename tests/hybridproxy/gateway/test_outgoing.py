"""What goes upstream is our own serialisation, in the provider's spelling."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.openai import decode_request
from hybridproxy.dialects.translator import Asking
from hybridproxy.gateway.outgoing import MAX_PRIORITY, Part, outgoing_body, outgoing_request, spoken
from hybridproxy.model.backend import Timeouts
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS
from hybridproxy.transport.upstream import UpstreamRequest
from tests.support import make
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
    part = Part(said, spent, running)
    return outgoing_body(call, PROVIDERS[name], "own-name", pins, stream=call.stream, part=part).body


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_gets_its_own_name_of_the_model_and_no_control_field(provider: str) -> None:
    """Nothing by which a client could steer the upstream passes, whoever the upstream is."""
    steering: dict[str, Any] = dict.fromkeys(CONTROL_FIELDS, "x")
    body = sent(provider, **steering, temperature=0.5, top_p=0.7)
    assert body["model"] == "own-name"
    assert not CONTROL_FIELDS & set(body)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.7)


def dropped(name: str, operation: Operation = Operation.CHAT, **fields: Any) -> tuple[str, ...]:
    """Return what of these fields a provider does not get."""
    given: dict[str, Any] = {"messages": [USER]} if operation is Operation.CHAT else {"input": "a"}
    call = decode_request(operation, orjson.dumps({"model": "qwen"} | given | fields))
    return outgoing_body(call, PROVIDERS[name], "own-name", (), stream=call.stream).dropped


@pytest.mark.parametrize(
    ("provider", "fields", "names"),
    [
        ("dashscope", {"store": True, "user": "u", "top_k": 3, "modalities": ["text"]}, ("store", "user")),
        ("deepseek", {"parallel_tool_calls": False, "n": 1, "seed": 1, "user": "u"}, ("parallel_tool_calls", "user")),
        ("novita", {"verbosity": "low", "min_p": 0.1}, ("verbosity",)),
        ("groq", {"store": True, "verbosity": "low", "user": "u", "metadata": {}}, ("store", "verbosity")),
        ("groq", {"store": False, "logprobs": False, "verbosity": None, "n": 1}, ()),
        ("groq", {"stream": True, "stream_options": {"include_usage": True}}, ()),
        ("together", {"stream": True, "stream_options": {}, "parallel_tool_calls": True, "user": "u"}, ("user",)),
        ("together", {"parallel_tool_calls": False}, ("parallel_tool_calls",)),
        ("openrouter", {"n": 1, "store": True}, ("store",)),
        ("vllm", {"anything": 1}, ()),
        ("novita", {"reasoning_effort": "high"}, ("reasoning_effort",)),
        ("cerebras", {"thinking_budget": 5, "top_k": 3}, ("thinking_budget", "top_k")),
    ],
)
def test_what_a_provider_does_not_take_is_named(provider: str, fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """And what says nothing is not."""
    assert dropped(provider, **fields) == names


def test_the_lists_of_fields_are_those_of_chats() -> None:
    """An embedding has others, which go as they are, but for what is dropped of any call."""
    assert dropped("gemini", Operation.EMBEDDING, dimensions=5, encoding_format="base64") == ()
    assert dropped("openrouter", Operation.EMBEDDING, store=True) == ("store",)


def test_thinking_is_asked_for_in_the_providers_spelling() -> None:
    """Whichever the caller's is; and the caller's body stays as it was."""
    asked: dict[str, Any] = {"enable_thinking": True, "thinking_budget": 2000, "chat_template_kwargs": {"x": 1}}
    assert sent("openrouter", **asked)["reasoning"] == {"max_tokens": 2000}
    vllm = sent("vllm", **asked)
    assert vllm["thinking_token_budget"] == 2000
    assert "enable_thinking" not in vllm
    fireworks = sent("fireworks", **asked)
    assert fireworks["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    call = decode_request(Operation.CHAT, orjson.dumps({"model": "q", "messages": [USER], **asked}))
    outgoing_body(call, PROVIDERS["vllm"], "m", (), stream=False)
    assert call.body["chat_template_kwargs"] == {"x": 1}


@pytest.mark.parametrize("provider", ["vllm", "tensorrt-llm", "sglang", "together", "llama-cpp", "deepinfra"])
def test_who_is_told_to_think_is_told_so_beside_how_much(provider: str) -> None:
    """By themselves some models do not; a budget of what is not thought would be none. A word alone says no more."""
    switch = {"enable_thinking": True, "thinking": True}
    for asked in ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": {"type": "enabled"}}):
        body = sent(provider, **asked, reasoning_effort="low")
        said = body["reasoning"] == {"enabled": True} if provider == "together" else None
        assert said or switch.items() <= body["chat_template_kwargs"].items()
    assert "chat_template_kwargs" not in sent("vllm", reasoning_effort="low")
    fireworks = sent("fireworks", enable_thinking=True, reasoning_effort="low")
    assert ("thinking" in fireworks, fireworks["reasoning_effort"]) == (False, "low")  # it takes one of them


def test_dashscope_may_call_several_tools_at_once_unless_that_is_forbidden() -> None:
    """As at OpenAI; by itself it calls one, in both of its protocols."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    for provider in ("dashscope", "dashscope-native"):
        assert sent(provider, tools=tools)["parallel_tool_calls"] is True
        for said, several in ((None, True), (True, True), (False, False)):
            assert sent(provider, tools=tools, parallel_tool_calls=said)["parallel_tool_calls"] is several
        assert "parallel_tool_calls" not in sent(provider)
        assert "parallel_tool_calls" not in sent(provider, tools=[])


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_deepseek_maps_words_itself(effort: str) -> None:
    """What it makes of `low` and `xhigh` has changed; it takes them all."""
    assert sent("deepseek", reasoning_effort=effort)["reasoning_effort"] == effort
    told = sent("deepseek", output_config={"effort": effort}, thinking={"type": "adaptive"})
    assert (told["reasoning_effort"], told["thinking"]) == (effort, {"type": "enabled"})


def test_who_refuses_thoughts_gets_none_and_the_caller_is_told() -> None:
    """Gemini's layer answers a field that it does not know with a 400: in a second turn the thought is in the first."""
    turn = {"role": "assistant", "content": "hi", "reasoning_content": "Hm"}
    call = decode_request(Operation.CHAT, orjson.dumps({"model": "qwen", "messages": [USER, turn, USER]}))
    made = outgoing_body(call, PROVIDERS["gemini"], "own-name", (), stream=False)
    assert made.body["messages"] == [USER, {"role": "assistant", "content": "hi"}, USER]
    assert made.dropped == ("reasoning_content",)
    plain = decode_request(Operation.CHAT, orjson.dumps({"model": "qwen", "messages": [USER]}))
    assert outgoing_body(plain, PROVIDERS["gemini"], "own-name", (), stream=False).dropped == ()


@pytest.mark.parametrize("provider", ["groq", "cerebras", "gemini"])
def test_what_another_backends_answer_had_does_not_make_a_later_turn_fail(provider: str) -> None:
    """A conversation begins at OpenRouter and goes on here: these refuse fields of messages that they do not know."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    kept = {"role": "assistant", "content": "a", "tool_calls": [call]}
    said = kept | {"refusal": None, "annotations": [], "audio": None, "reasoning_details": [{"type": "x"}]}
    turns = [USER, said, {"role": "tool", "tool_call_id": "c", "content": "b"}]
    assert sent(provider, messages=turns)["messages"] == [USER, kept, turns[2]]
    assert dropped(provider, messages=turns) == ("reasoning_details",)
    assert sent("openrouter", messages=turns)["messages"] == turns


def test_what_a_model_thought_is_sent_back_in_the_providers_field() -> None:
    """A caller found it in `reasoning_content` and sends it back so."""
    turn = {"role": "assistant", "content": "a", "reasoning_content": "b"}
    assert sent("groq", messages=[USER, turn])["messages"] == [
        USER,
        {"role": "assistant", "content": "a", "reasoning": "b"},
    ]
    assert sent("groq")["messages"] == [USER]
    assert sent("dashscope", messages=[USER, turn])["messages"] == [USER, turn]


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


@pytest.mark.parametrize("provider", ["together", "deepseek", "deepinfra", "novita", "tensorrt-llm"])
@pytest.mark.parametrize("asked", [{"max_tokens": 5}, {"max_completion_tokens": 5}])
def test_a_bound_holds_beside_a_null_of_its_other_name(provider: str, asked: dict[str, int]) -> None:
    """SDKs write what was not set as null; for DeepInfra a null is as long an answer as the model can give."""
    empty: dict[str, Any] = {"max_tokens": None, "max_completion_tokens": None}
    for fields in ({**empty, **asked}, {**asked, **{name: None for name in empty if name not in asked}}):
        body = sent(provider, **fields)
        assert (body.get("max_tokens"), body.get("max_completion_tokens")) == (5, None)


@pytest.mark.parametrize("provider", ["together", "deepseek", "deepinfra", "novita", "tensorrt-llm"])
@pytest.mark.parametrize(
    ("both", "bound"),
    [
        ({"max_tokens": 100, "max_completion_tokens": 50}, 50),
        ({"max_completion_tokens": 50, "max_tokens": 100}, 50),
        ({"max_completion_tokens": 100, "max_tokens": 50}, 50),
        ({"max_completion_tokens": 100, "max_tokens": "50"}, 100),
    ],
)
def test_of_two_bounds_the_lower_holds_where_there_is_one_name_for_both(
    provider: str, both: dict[str, Any], bound: int
) -> None:
    """In whichever order they stand: an answer that obeys it obeys the other, too."""
    body = sent(provider, **both)
    assert (body["max_tokens"], body.get("max_completion_tokens")) == (bound, None)


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
        outgoing_body(call, provider, "x", ("p",), stream=True, part=Part(said, 5, breaks=True))
    assert call.body == body


# ---- answers that the caller began -----------------------------------------------------------------------------------

BEGUN = {"role": "assistant", "content": "Once", "partial": True}


@pytest.mark.parametrize(
    ("provider", "last", "more"),
    [
        ("dashscope", {"partial": True}, {"enable_thinking": False}),
        (
            "vllm",
            {},
            {
                "continue_final_message": True,
                "add_generation_prompt": False,
                "chat_template_kwargs": {"enable_thinking": False},
            },
        ),
        ("openrouter", {}, {}),
    ],
)
@pytest.mark.parametrize(
    "begun",
    [
        BEGUN,
        {"role": "assistant", "content": "Once", "prefix": True},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "On"}, {"type": "text", "text": "ce"}],
            "partial": True,
        },
    ],
)
def test_each_provider_is_told_in_its_way_that_the_answer_is_begun(
    provider: str, last: dict[str, Any], more: dict[str, Any], begun: dict[str, Any]
) -> None:
    """Whatever the caller's way was."""
    body = sent(provider, messages=[USER, begun])
    assert body["messages"] == [USER, {"role": "assistant", "content": "Once", **last}]
    assert {name: given for name, given in body.items() if name not in {"model", "messages"}} == more


def test_the_engines_own_words_for_it_are_said_anew() -> None:
    """What belongs to one provider's way does not go to another."""
    plain = {"role": "assistant", "content": "Once", "name": "bard"}
    body = sent("dashscope", messages=[USER, plain], continue_final_message=True, add_generation_prompt=False)
    assert body["messages"][-1] == {**plain, "partial": True}
    assert not {"continue_final_message", "add_generation_prompt"} & set(body)


def test_a_beginning_that_is_no_text_stays_as_it_is() -> None:
    """The backend judges it."""
    odd = {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}], "partial": True}
    assert sent("dashscope", messages=[USER, odd])["messages"] == [USER, odd]


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
        outgoing_body(call, PROVIDERS["vllm"], "x", (), stream=False, part=Part("upon"))


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
    body: dict[str, Any] = orjson.loads(outgoing_request(call, target, "id", owner=owner).request.body)
    return {
        name: value
        for name, value in body.items()
        if name not in {"model", "messages", "context_length_exceeded_behavior"}
    }


@pytest.mark.parametrize("provider", [name for name, row in PROVIDERS.items() if row.paths])
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


# ---- the Responses API -----------------------------------------------------------------------------------------------


def responses(*, streams_only: bool = False, recovers: bool = False, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Return where DashScope is asked what a caller of the Responses API wants, and how."""
    asked = {"model": "qwen", "input": "hi", **fields}
    call = TRANSLATORS[Dialect.RESPONSES].decode(Asking(Operation.CHAT), orjson.dumps(asked))
    one = backend("b", provider="dashscope")
    target = Target(one, one.endpoints[0], one.credentials[0], "own", Timeouts(), streams_only=streams_only)
    way = spoken(call, target, recovers=recovers)
    request = outgoing_request(call, target, "req_1", way=way).request
    return request.path, orjson.loads(request.body)


def test_who_speaks_it_gets_the_callers_own_words() -> None:
    """And is told to keep nothing."""
    assert responses() == ("/responses", {"model": "own", "input": "hi", "store": False})


@pytest.mark.parametrize("how", [{"streams_only": True}, {"recovers": True, "stream": True}])
def test_what_has_to_be_put_together_goes_as_a_chat(how: dict[str, Any]) -> None:
    """Out of a stream for a caller who does not, or out of two parts."""
    path, body = responses(**how)
    assert path == "/chat/completions"
    assert (body["stream"], body["messages"]) == (True, [{"role": "user", "content": "hi"}])


def test_a_model_that_only_streams_is_asked_in_a_chats_words_by_a_caller_of_anthropics_dialect() -> None:
    """Its spelling of a chat's fields is not that of its Messages API, where they would be lost in silence."""
    asked = {
        "model": "q",
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1500},
        "messages": [USER],
    }
    call = TRANSLATORS[Dialect.ANTHROPIC].decode(Asking(Operation.CHAT), orjson.dumps(asked))
    for provider in ("dashscope", "openrouter", "fireworks", "deepinfra"):
        one = backend("b", provider=provider)
        target = Target(one, one.endpoints[0], one.credentials[0], "own", Timeouts(), streams_only=True)
        way = spoken(call, target)
        request = outgoing_request(call, target, "req_1", way=way).request
        assert (way.dialect, way.native, way.gathers) == (Dialect.OPENAI, False, True)
        assert request.path == "/chat/completions"
        assert orjson.loads(request.body)["messages"] == [USER]


CLAUDE: dict[str, Any] = {
    "model": "q",
    "max_tokens": 2000,
    "top_k": 3,
    "messages": [
        USER,
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "x"}],
        },
        USER,
    ],
}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1500}}
ADAPTIVE = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("model", "said", "thinks", "unsaid"),
    [
        ("gpt-5.4", BUDGET, "medium", ("thinking.budget_tokens",)),
        ("gpt-5.4", ADAPTIVE, "high", ()),
        ("openai/gpt-5.1-codex", OFF, "none", ()),
        ("gpt-5-mini", OFF, None, ("thinking.type",)),
        ("o4-mini", BUDGET, "medium", ("thinking.budget_tokens",)),
        ("gpt-4.1", BUDGET, None, ("thinking.type", "thinking.budget_tokens")),
        ("gpt-4.1", OFF, None, ("thinking.type",)),
    ],
)
def test_openais_own_models_are_told_in_their_words_what_a_caller_of_claude_says(
    model: str, said: dict[str, Any], thinks: str | None, unsaid: tuple[str, ...]
) -> None:
    """They refuse a field that they do not know: `thinking`, `top_k`, thoughts that are given back, `max_tokens`."""
    call = TRANSLATORS[Dialect.ANTHROPIC].decode(Asking(Operation.CHAT), orjson.dumps(CLAUDE | said))
    made = outgoing_body(call, PROVIDERS["openai"], model, (), stream=False)
    assert made.body == {
        "model": model,
        "messages": [USER, {"role": "assistant", "content": "x"}, USER],
        "max_completion_tokens": 2000,
        **({} if thinks is None else {"reasoning_effort": thinks}),
    }
    assert made.dropped == (*unsaid, "reasoning_content", "top_k")


def test_models_of_others_behind_openais_api_are_sent_what_the_caller_wrote() -> None:
    """Whatever server that is, and however it calls Qwen or an open model of OpenAI's."""
    asked: dict[str, Any] = {"model": "q", "messages": [USER], "top_k": 3, **OFF}
    for model in ("qwen3.7-plus", "gpt-oss-120b", "own-name"):
        call = decode_request(Operation.CHAT, orjson.dumps(asked))
        assert outgoing_body(call, PROVIDERS["openai"], model, (), stream=False).body == {**asked, "model": model}
    call = decode_request(Operation.CHAT, orjson.dumps(asked | {"max_tokens": 5, "enable_thinking": True}))
    made = outgoing_body(call, PROVIDERS["openai"], "gpt-5", (), stream=False)
    assert (made.body["max_completion_tokens"], made.dropped) == (5, ("top_k",))


# ---- another dialect -------------------------------------------------------------------------------------------------

TEXT = "/services/aigc/text-generation/generation"
SSE = ("x-dashscope-sse", "enable")


def asked_natively(provider: str, *, model: str = "own-name", **told: Any) -> UpstreamRequest:
    """Return what an upstream is sent for a call in DashScope's own protocol, in the way that is found for it."""
    headers = tuple({"x-dashscope-datainspection": "enable"}.items())
    body = {"model": "q", "input": {"messages": [USER]}, "parameters": {"seed": 1}}
    asking = Asking(Operation.CHAT, "text-generation", events=True, headers=headers)
    call = TRANSLATORS[Dialect.DASHSCOPE].decode(asking, orjson.dumps(body))
    own = backend("a", provider=provider)
    place = replace(own, endpoints=(replace(own.endpoints[0], base_path="/compatible-mode/v1"),), **told)
    target = Target(place, place.endpoints[0], place.credentials[0], model, Timeouts())
    return outgoing_request(call, target, "id", way=spoken(call, target)).request


def test_a_caller_who_speaks_as_the_upstream_is_heard_in_its_own_words() -> None:
    """At the other dialect's place at the same host, with the caller's headers; the operator's count more."""
    request = asked_natively("dashscope")
    assert (request.root, request.path) == ("/api/v1", TEXT)
    body = {"model": "own-name", "input": {"messages": [USER]}, "parameters": {"seed": 1}}
    assert orjson.loads(request.body) == body
    assert request.headers[1:] == (("x-dashscope-datainspection", "enable"), SSE)
    own = (("x-dashscope-datainspection", "disable"),)
    assert asked_natively("dashscope", headers=own).headers[1:] == (*own, SSE)


def test_a_caller_is_translated_for_an_upstream_that_speaks_otherwise() -> None:
    """To OpenAI's form, or on to the only one that the upstream has."""
    request = asked_natively("vllm")
    assert (request.root, request.path) == (None, "/chat/completions")
    assert orjson.loads(request.body)["messages"] == [USER]
    call = decode_request(Operation.CHAT, orjson.dumps({"model": "q", "messages": [USER], "stream": True, "user": "u"}))
    place = backend("a", provider="dashscope-native")
    target = Target(place, place.endpoints[0], place.credentials[0], "qwen-plus", Timeouts())
    sent = outgoing_request(call, target, "id", way=spoken(call, target))
    assert orjson.loads(sent.request.body) == {
        "model": "qwen-plus",
        "input": {"messages": [USER]},
        "parameters": {"result_format": "message", "incremental_output": True},
    }
    assert (sent.request.path, sent.request.headers[1:], sent.dropped) == (TEXT, (SSE,), ("user",))


def test_a_caller_whose_path_is_not_the_models_is_translated() -> None:
    """A name of ours led to a model that sees; at the path for text it would be refused."""
    assert asked_natively("dashscope", model="qwen3.7-plus").path == "/chat/completions"
    request = asked_natively("dashscope-native", model="qwen3.7-plus")
    assert request.path == "/services/aigc/multimodal-generation/generation"
    assert orjson.loads(request.body)["input"]["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_a_stream_that_may_go_on_elsewhere_is_not_in_the_callers_own_words() -> None:
    """Its parts are joined in OpenAI's form."""
    call = replace(make.call(), dialect=Dialect.DASHSCOPE, native={"model": "q"})
    place = backend("a", provider="dashscope-native")
    target = Target(place, place.endpoints[0], place.credentials[0], "qwen-plus", Timeouts())
    assert spoken(call, target).native
    assert not spoken(call, target, recovers=True).native
    assert spoken(call, target, recovers=True).dialect is Dialect.DASHSCOPE
    place = backend("a", provider="dashscope")
    target = Target(place, place.endpoints[0], place.credentials[0], "qwen-plus", Timeouts())
    assert spoken(call, target, recovers=True).dialect is Dialect.OPENAI
