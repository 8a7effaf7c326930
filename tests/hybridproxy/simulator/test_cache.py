"""The prefix cache of the engines that have one, and what their metrics say."""

import pytest

from hybridproxy.simulator import cache
from hybridproxy.simulator.cache import PrefixCache
from tests.hybridproxy.simulator.client import HELLO, JsonDict, ask, get, settled
from tests.hybridproxy.simulator.conftest import Start

MORE = [*HELLO["messages"], {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "and you?"}]


def asked(*said: str, salt: str | None = None) -> JsonDict:
    """Write a chat of the user's messages alone."""
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in said], "cache_salt": salt}


def marked(*said: str, then: tuple[str, ...] = ()) -> JsonDict:
    """Write a chat whose messages up to `then` have marks: the first on itself, the others on their parts."""
    body = asked(*said, *then)
    for place in range(len(said)):
        mark = {"cache_control": {"type": "ephemeral"}}
        if place == 0:
            body["messages"][place] |= mark
        else:
            body["messages"][place]["content"] = [{"type": "text", "text": said[place]} | mark]
    return body


def test_what_a_prompt_begins_with_is_known_the_next_time() -> None:
    """By whole messages from the first on; words that stand elsewhere are not."""
    known = PrefixCache()
    assert known.take(asked("a b c")) == (0, 0)
    assert known.take(asked("a b c", "d")) == (3, 0)
    assert known.take(asked("a b c", "d", "e")) == (4, 0)
    assert known.take(asked("x", "a b c")) == (0, 0)


def test_a_server_that_keeps_nothing_unasked_knows_nothing() -> None:
    """Without a mark, and where marks are not taken, nothing is kept."""
    known = PrefixCache()
    for _ in range(2):
        assert known.take(asked("a b c"), unasked=False, asked=True) == (0, 0)
        assert known.take(marked("a b c"), unasked=False) == (0, 0)


def test_what_is_marked_is_kept_up_to_the_mark() -> None:
    """What of it was not known is told as written; what stands behind the last mark is neither kept nor looked up."""
    known = PrefixCache()
    assert known.take(marked("a b c", then=("d",)), asked=True) == (0, 3)
    assert known.take(marked("a b c", then=("d",)), asked=True) == (3, 0)
    assert known.take(marked("a b c", "d e", then=("f",)), asked=True) == (3, 2)
    assert known.take(asked("a b c"), asked=True) == (3, 0)
    assert known.take(asked("a b c", "d e", "f"), unasked=False, asked=True) == (0, 0)


def test_salts_keep_apart() -> None:
    """Nobody finds what another salt's prompts left, and everybody its own."""
    known = PrefixCache()
    assert [known.take(asked("a b", salt=salt))[0] for salt in ("1", "2", None, "1", "2", None)] == [0, 0, 0, 2, 2, 2]


def test_the_ones_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded as an engine's is."""
    monkeypatch.setattr(cache, "KEPT", 2)
    known = PrefixCache()
    assert [known.take(asked(text))[0] for text in ("a", "b", "a", "c", "a", "b")] == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(("provider", "found"), [("vllm", 2), ("sglang", 2), ("tensorrt-llm", 0), ("openai", 0)])
async def test_usage_and_journal_tell_it(start: Start, provider: str, found: int) -> None:
    """The second turn finds the first one's prompt, where there is a cache."""
    simulator = await start(provider)
    first = await ask(simulator)
    again = await ask(simulator, HELLO | {"messages": MORE})
    told = [got.json["usage"]["prompt_tokens_details"]["cached_tokens"] for got in (first, again)]
    assert told == [0, found]
    assert (await settled(simulator)).cached_tokens == found
    assert simulator.upstream.journal.totals()["cached_tokens"] == found


@pytest.mark.parametrize(
    ("provider", "name"), [("openrouter", "cache_write_tokens"), ("dashscope", "cache_creation_input_tokens")]
)
async def test_what_a_caller_had_kept_is_told_in_the_providers_word(start: Start, provider: str, name: str) -> None:
    """Part of the prompt's tokens, beside what was known."""
    simulator = await start(provider)
    usage = (await ask(simulator, marked("good", "morning"))).json["usage"]
    assert usage["prompt_tokens_details"][name] == (await settled(simulator)).written_tokens == 2


@pytest.mark.parametrize(("caches", "found"), [(None, 0), (True, 2), (False, 0)])
async def test_a_setting_says_whether_prompts_are_kept(start: Start, caches: bool | None, found: int) -> None:
    """Also at a provider that does not do so by itself."""
    simulator = await start("together", caches=caches)
    told = [(await ask(simulator)).json["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)]
    assert told == [0, found]


@pytest.mark.parametrize(("provider", "name"), [("vllm", b"vllm:num_requests_"), ("sglang", b"sglang:num_")])
async def test_metrics_tell_the_load(start: Start, provider: str, name: bytes) -> None:
    """What runs now, and what the settings say beside it."""
    simulator = await start(provider, waiting=3, kv_usage=0.5)
    page = (await get(simulator, "//metrics", key=None)).rest
    values = [line.rpartition(b" ")[2] for line in page.splitlines() if not line.startswith(b"#")]
    assert name in page
    assert values == [b"0.0", b"3.0", b"0.5"]


async def test_tensorrt_llm_asks_for_no_key(start: Start) -> None:
    """Whoever reaches it may call it."""
    assert (await ask(await start("tensorrt-llm"), key=None)).status == 200
