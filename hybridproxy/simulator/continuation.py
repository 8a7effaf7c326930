"""Whether a request asks to go on from a text that was begun, in each provider's own way.

DashScope: https://help.aliyun.com/en/model-studio/partial-mode. vLLM: its `ChatCompletionRequest`; SGLang asks for
`continue_final_message` alone, which is enough here too. OpenRouter: "assistant prefill" in its API overview.
DeepSeek: chat prefix completion, at its beta address.
"""

from typing import Final, cast

from hybridproxy.simulator.answers import RequestError, flat
from hybridproxy.simulator.behaviour import Behaviour
from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.rows import Continues, Json, Provider

BOTH_FLAGS: Final = "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
THINKING: Final = "Partial mode is not supported when enable_thinking is true."
REFUSED: Final = "Assistant message prefill is not supported by this model."


def prefix_of(row: Provider, body: Json, settings: Behaviour) -> str | None:
    """Return the text that a chat call's answer goes on from, as the model would see it; None begins anew.

    Raises:
        RequestError: the provider takes no such request, or the settings want prefixes refused.
    """
    last = cast("list[Json]", body["messages"])[-1]
    if not _continues(row, body, last):
        return None
    if settings.refuse_prefix:
        raise RequestError(REFUSED)
    prefix = flat(last.get("content"))
    strips = row.strips_prefix if settings.strips_prefix is None else settings.strips_prefix
    return prefix.rstrip() if strips else prefix


def _continues(row: Provider, body: Json, last: Json) -> bool:
    begun = last.get("role") == "assistant"
    match row.continues:
        case Continues.NEVER:
            return False
        case Continues.TRAILING:
            return begun
        case Continues.PARTIAL:
            if begun and last.get("partial") is not True:
                _, error = ERRORS["dashscope.algo_client_fault"]
                raise RequestError(error.message, error)
            if begun and body.get("enable_thinking") is True:
                raise RequestError(THINKING)
            return begun
        case Continues.PREFIX:
            return begun and last.get("prefix") is True
        case Continues.FLAG:
            flag = body.get("continue_final_message") is True
            if flag and body.get("add_generation_prompt") is True:
                raise RequestError(BOTH_FLAGS)
            return begun and flag
