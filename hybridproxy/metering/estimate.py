"""How many tokens a call will use and what it will cost, before anybody counted: what is reserved for it.

Input: the texts of the body by the family's tokens a byte, Chinese, Japanese and Korean apart, with something for each
picture and each message. Output: the most that the caller lets the answer have. A caller that sets no bound gets one
here, of the length of a long answer: the models' own bounds are tens of thousands, and would fill a small limit with
calls that use a hundredth of it. What a call uses beyond its estimate is counted when it is over.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hybridproxy.families import FAMILIES
from hybridproxy.families.family import estimate_tokens
from hybridproxy.model.call import BOUNDS_OF, Call, Operation
from hybridproxy.model.plan import Target
from hybridproxy.model.value import value

ANSWER: Final = 1024
"""Tokens of an answer to a caller that sets no bound."""

MAX_ANSWER: Final = 1_000_000
"""Tokens of one answer at most, whatever the caller says: no model writes more."""

MOST_OF: Final = 128
"""Answers of which the best may be shown, whatever the caller says; OpenAI allows 20."""

BYTES_A_TOKEN: Final = 4
"""Of a body, where nobody looks closer."""

SMALL: Final = 16 * 1024
"""Bytes of a body up to which nobody does: a picture of that size is wrong by a few thousand tokens at most."""

IMAGE_TOKENS: Final = 1300
"""Of a picture of a million pixels: 1,333 by Anthropic's rule (width x height / 750), 1,280 by Qwen's default bound."""

MESSAGE_TOKENS: Final = 5
"""What a template puts around each message: its beginning, the role, two ends of lines and its end."""


@value
class Estimate:
    """Tokens of a call's input, and the most that its answers may have."""

    prompt: int
    answer: int

    @property
    def tokens(self) -> int:
        """Return all of them."""
        return self.prompt + self.answer


def estimate(call: Call, family: str) -> Estimate:
    """Return what a call to a model of this family will use, as far as its body tells: never nothing.

    What takes nothing of a limit needs no room in it, and would go past one that is used up.
    """
    return Estimate(max(1, input_tokens(call.body, family)), answer_tokens(call))


def input_tokens(body: Mapping[str, Any], family: str) -> int:
    """Return about how many tokens a body's input has, in the form that all dialects are turned into."""
    tokens = estimate_tokens(FAMILIES[family], body).tokens
    messages = body.get("messages")
    if type(messages) is not list:
        return tokens
    images = 0
    for message in messages:
        content = message.get("content") if type(message) is dict else None
        if type(content) is list:
            images += sum(_pictures(part) for part in content if type(part) is dict)
    return tokens + images * IMAGE_TOKENS + len(messages) * MESSAGE_TOKENS


def prompt_tokens(call: Call, family: str) -> int:
    """Return about how many tokens a call's input has, at least one, where no limit of its tenant asks for that.

    A small body counts by its bytes. Of a large one most may be a picture or a film, which has far fewer tokens.
    """
    return max(1, call.size // BYTES_A_TOKEN if call.size <= SMALL else input_tokens(call.body, family))


def _pictures(part: Mapping[str, Any]) -> int:
    """Return how many pictures a part of a message has: a film has one, or those that it is made of."""
    kind = part.get("type")
    if kind in ("image_url", "video_url"):
        return 1
    frames = part.get("video") if kind == "video" else None
    return len(frames) if type(frames) is list else int(type(frames) is str)


def answer_tokens(call: Call) -> int:
    """Return the most that a call's answers may have; of one that sets no bound what is reserved for them."""
    return answer_tokens_at_most(call) or (ANSWER * _answers(call) if call.operation in BOUNDS_OF else 0)


def answer_tokens_at_most(call: Call) -> int:
    """Return the most that a call's answers may have, 0 where it sets no bound or has no answer.

    Of two bounds the higher counts.
    """
    most = 0
    for name in BOUNDS_OF.get(call.operation, ()):
        bound = call.body.get(name)
        if type(bound) is float or type(bound) is str:
            bound = _whole(bound)
        if type(bound) is int and bound > most:
            most = bound
    return most and min(most, MAX_ANSWER) * _answers(call)


def _whole(given: float | str) -> int | None:
    """Return the whole number that is written in another way: servers in Python take 30000.0 and "30000", too."""
    try:
        number = float(given)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _answers(call: Call) -> int:
    """Return how many answers are made: of a completion perhaps more than are shown, of which the best are."""
    best, shown = call.body.get("best_of"), call.body.get("n") or 1
    if call.operation is not Operation.COMPLETION or type(best) is not int or best <= shown:
        return max(1, call.choices)
    return call.choices // shown * min(best, MOST_OF)


def money(expected: Estimate, targets: Sequence[Target[Any]]) -> int:
    """Return the nano-dollars that a call may cost at the dearest of these targets; 0 where all are free."""
    prompt, answer = expected.prompt, expected.answer
    most = 0
    for target in targets:
        cost = target.price.at_most(prompt, answer)
        if cost > most:  # noqa: PLR1730 - a call of max() takes as long as the price
            most = cost
    return most
