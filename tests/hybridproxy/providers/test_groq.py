"""Tests of Groq's row."""

from hybridproxy.model.call import Operation
from hybridproxy.providers.groq import GROQ


def test_what_it_would_refuse_sends_a_call_elsewhere() -> None:
    """It answers 400 to these; a call without them loses nothing there."""
    assert set(GROQ.refuses) == {
        "logprobs", "top_logprobs", "logit_bias", "messages[].name", "audio", "web_search_options",
    }  # fmt: skip
    assert GROQ.max_choices == 1
    assert set(GROQ.paths) == {Operation.CHAT}


def test_fields_that_it_does_not_know_are_not_sent() -> None:
    """`store` is one, which OpenAI's client sends."""
    assert GROQ.accepts is not None
    assert not GROQ.accepts & {"store", "verbosity", "prompt_cache_key", *GROQ.refuses}
