"""What is reserved for a call: its input, the most its answers may have, and what that costs."""

from dataclasses import replace
from typing import Any

import pytest

from hybridproxy.metering.estimate import (
    ANSWER,
    IMAGE_TOKENS,
    MAX_ANSWER,
    MESSAGE_TOKENS,
    MOST_OF,
    Estimate,
    answer_tokens,
    estimate,
    input_tokens,
    money,
    prompt_tokens,
)
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.price import price
from tests.support import make


def asked(operation: Operation = Operation.CHAT, choices: int = 1, **body: Any) -> Call:
    """Return a call with this body."""
    return Call(operation, "qwen", False, False, choices, frozenset(), 100, body)


def test_texts_and_pictures_and_messages_count() -> None:
    """Four bytes a token for Qwen, ideographs 0.6 each, and something for each picture and message."""
    body = {"messages": [{"role": "user", "content": "x" * 400}, {"role": "user", "content": "文" * 100}]}
    assert input_tokens(body, "qwen3") == 100 + 60 + 2 * MESSAGE_TOKENS
    seen = {"type": "image_url", "image_url": {"url": "data:" + "x" * 9000}}
    shown = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 40}, seen, "odd"]}, "odd"]}
    assert 10 + IMAGE_TOKENS + 2 * MESSAGE_TOKENS <= input_tokens(shown, "qwen3") <= 15 + IMAGE_TOKENS + 12
    assert input_tokens({"prompt": "x" * 40}, "deepseek") == 12
    assert input_tokens({"input": [[1, 2, 3]]}, "other") == 3


def test_films_count_as_pictures_do() -> None:
    """One, or each of those it is made of; their bytes are no text."""
    film = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + "x" * 9000}}
    frames = {"type": "video", "video": ["data:image/png;base64," + "x" * 9000] * 3}
    odd = [{"type": "video", "video": "https://example.com/film.mp4"}, {"type": ["video_url"]}, {"type": "video"}]
    for parts, pictures in (([film], 1), ([frames], 3), (odd, 1)):
        shown = {"messages": [{"role": "user", "content": parts}]}
        assert input_tokens(shown, "qwen3") == pictures * IMAGE_TOKENS + MESSAGE_TOKENS


def test_an_input_is_known_roughly_before_anybody_asks_for_its_length() -> None:
    """A small one by its bytes, four a token; of a large one most may be a picture, so its texts are looked at."""
    text: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
    picture = {"type": "image_url", "image_url": {"url": "x" * 400_000}}
    seen: dict[str, Any] = {"messages": [{"role": "user", "content": [picture]}]}
    sized = [(text, 0, 1), (text, 3, 1), (text, 4000, 1000), (seen, 400_000, IMAGE_TOKENS + MESSAGE_TOKENS)]
    for body, size, tokens in sized:
        assert prompt_tokens(replace(asked(**body), size=size), "qwen3") == tokens
    assert prompt_tokens(replace(asked(), size=400_000), "qwen3") == 1


@pytest.mark.parametrize(
    ("body", "choices", "tokens"),
    [
        ({}, 1, ANSWER),
        ({"max_tokens": 10}, 1, 10),
        ({"max_completion_tokens": 20}, 3, 60),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 1, 20),
        ({"max_tokens": 2**52}, 1, MAX_ANSWER),
        ({"max_tokens": 0, "max_completion_tokens": "many"}, 1, ANSWER),
        ({"max_tokens": True}, 0, ANSWER),
        ({"max_tokens": 3000.0}, 1, 3000),
        ({"max_tokens": 30.5}, 1, ANSWER),
        ({"max_tokens": "3000", "max_completion_tokens": " 50.0"}, 2, 6000),
        ({"max_tokens": "inf", "max_completion_tokens": "nan"}, 1, ANSWER),
        ({"max_tokens": "1e9"}, 1, MAX_ANSWER),
    ],
)
def test_the_answer_counts_as_the_most_that_it_may_have(body: dict[str, Any], choices: int, tokens: int) -> None:
    """For each answer that is asked for; without a bound, and with an odd one, something usual."""
    assert answer_tokens(asked(choices=choices, **body)) == tokens


@pytest.mark.parametrize(
    ("body", "choices", "tokens"),
    [
        ({"max_tokens": 10}, 2, 20),
        ({"max_completion_tokens": 1}, 1, ANSWER),
        ({"max_tokens": 10, "best_of": 5}, 1, 50),
        ({"max_tokens": 10, "n": 2, "best_of": 5}, 6, 150),
        ({"best_of": 3}, 1, 3 * ANSWER),
        ({"max_tokens": 1, "best_of": 2**63}, 1, MOST_OF),
        ({"max_tokens": 10, "n": 2, "best_of": 1}, 2, 20),
        ({"max_tokens": 10, "best_of": "5"}, 1, 10),
    ],
)
def test_a_completion_has_one_bound_and_perhaps_answers_that_nobody_sees(
    body: dict[str, Any], choices: int, tokens: int
) -> None:
    """The newer name means nothing there; the best of several is shown, and all of them are charged for."""
    assert answer_tokens(asked(Operation.COMPLETION, choices, **body)) == tokens
    assert answer_tokens(asked(Operation.CHAT, 1, max_tokens=10, best_of=5)) == 10


def test_who_asks_for_no_text_reserves_none() -> None:
    """Embeddings and counts have no answer of tokens."""
    assert answer_tokens(asked(Operation.EMBEDDING, input="x")) == 0
    assert estimate(asked(Operation.COMPLETION, prompt="x" * 40, max_tokens=7), "qwen3") == Estimate(10, 7)
    assert Estimate(10, 7).tokens == 17


@pytest.mark.parametrize("text", ["", "abc", [""], "x"])
def test_no_call_takes_nothing(text: Any) -> None:
    """The shortest embedding takes a token and a nano-dollar: a limit that is used up, or is 0, has no room for it."""
    expected = estimate(asked(Operation.EMBEDDING, input=text), "qwen3")
    assert expected == Estimate(1, 0)
    assert money(expected, [replace(make.target(), price=price(0.0005, 0.0005))]) == 1
    assert money(expected, [replace(make.target(), price=price(0, 0))]) == 0


def test_money_is_that_of_the_dearest() -> None:
    """Whoever of the plan's backends answers, and whether the model thinks or not."""
    expected = Estimate(1_000_000, 1_000_000)
    cheap, dear, thinks = (
        replace(make.target(), price=one) for one in (price(1, 2), price(2, 3), price(0.5, 1, thinking=9))
    )
    assert money(expected, [cheap, dear]) == 5_000_000_000
    assert money(expected, [cheap, dear, thinks]) == 9_500_000_000
