"""Which calls may go on with another backend after output went to the caller.

These are the rules about the request; what the caller has must be plain text too, which is judged where it is known.
A stream may be resumed where its answer is one plain text that any model of the family can write on. Not with tools or
log probabilities, whose parts cannot be joined; not under a grammar (JSON, a regular expression), which a new decoder
would begin from its start; not with thinking, of which a continuation would see only the result; not where the call
itself lets the model write on; not what only one dialect can say, since parts are joined in OpenAI's. Repeating asks
less: the same call must give the same single text, compared exactly.
"""

from collections.abc import Mapping
from typing import Any, Final

from hybridproxy.model.call import Call, Operation

_TOOLS: Final = ("tools", "functions")

_PROBABILITIES: Final = ("logprobs", "top_logprobs", "prompt_logprobs", "return_token_ids")
"""Fields that ask for something about each token; 0 is a number that is asked for. The last two are vLLM's."""

_GRAMMARS: Final = (
    *("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),  # vLLM, new and old
    *("regex", "ebnf"),  # SGLang
)

_OTHER: Final = ("audio", "input_ids", "prompt_token_ids")
"""Fields of an answer that is not text, and of a prompt that is not the messages (SGLang, TensorRT-LLM)."""

_THINKING: Final = ("enable_thinking", "thinking", "reasoning", "reasoning_effort", "include_reasoning")
_BUDGETS: Final = ("thinking_budget", "thinking_token_budget")
_SWITCHES: Final = ("enable_thinking", "thinking")
"""Of `chat_template_kwargs`: Qwen's and DeepSeek's templates."""


def resumable(call: Call) -> bool:
    """Return whether another backend may write on from what the caller has of the answer."""
    body = call.body
    return (
        call.operation is Operation.CHAT
        and _single(call)
        and not any(map(body.get, (*_GRAMMARS, *_OTHER)))
        and _is_text(body.get("response_format"))
        and not _thinks(body)
        and not _ends_with_assistant(body.get("messages"))
    )


def replayable(call: Call) -> bool:
    """Return whether the call may be made again, to pass what goes beyond what the caller has."""
    return call.operation in {Operation.CHAT, Operation.COMPLETION} and _single(call)


def _single(call: Call) -> bool:
    """Return whether the answer is one stream of text and nothing beside it."""
    body = call.body
    return (
        call.stream
        and call.choices == 1
        and not call.begun  # the caller has the beginning of it from elsewhere
        and not call.bound  # it cannot be said in the form in which parts are joined
        and not any(map(body.get, _TOOLS))
        and not any(_given(body.get(name)) for name in _PROBABILITIES)
    )


def _given(value: Any) -> bool:
    return value is not None and value is not False


def _is_text(response_format: Any) -> bool:
    return response_format is None or (isinstance(response_format, dict) and response_format.get("type") == "text")


def _thinks(body: Mapping[str, Any]) -> bool:
    """Return whether thinking is asked for, in any of the spellings."""
    template = body.get("chat_template_kwargs")
    return (
        any(_asks(body.get(name)) for name in _THINKING)
        or any(map(body.get, _BUDGETS))
        or (isinstance(template, dict) and any(map(template.get, _SWITCHES)))
    )


def _asks(value: Any) -> bool:
    """Return whether one field asks for thinking; "none" and its like say that there shall be none."""
    if isinstance(value, dict):
        off = value.get("effort") == "none" or value.get("enabled") is False or value.get("type") == "disabled"
        return not off
    return _given(value) and value != "none"


def _ends_with_assistant(messages: Any) -> bool:
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "assistant"
