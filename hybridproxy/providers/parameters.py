"""Lists of fields that several providers take, from their clients' types (November 2026), and who goes elsewhere."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_OF_MESSAGES: Final = "messages[]."

SAMPLING: Final = frozenset(
    {"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop", "max_tokens"}
)
"""What everybody takes to steer the choice of words."""

CORE: Final = SAMPLING | {"model", "messages", "stream", "tools", "tool_choice", "response_format", "n"}
"""Of a chat."""

MESSAGES: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
"""Of messages, for who refuses others: answers have more, and come back with it in a later turn."""

LOGPROBS: Final = "the answer would come without log probabilities"
BIAS: Final = "the answer would come without that bias"

FUNCTIONS: Final = {"functions": "the model would not know of the functions"}
SOUND: Final = {"audio": "the answer would come without sound"}
SEARCH: Final = {"web_search_options": "the answer would come without a search"}
"""What an answer would miss at providers that do not take the field; beside `tools`, `functions` is the older name."""


def lost_field(body: Mapping[str, Any], refused: Iterable[str]) -> str | None:
    """Return the first of the refused fields that a body asks for something with; `messages[].x`: one of messages."""
    for name in refused:
        inner = name.removeprefix(_OF_MESSAGES)
        holders = [body] if inner == name else body.get("messages") or ()
        if any(holder.get(inner) for holder in holders):
            return name
    return None
