"""Tests of what is read out of an engine's page."""

import pytest

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.metrics import MAX_LINES, Metrics, read_metrics

NAMES = Metrics("/metrics", "e:running", "e:waiting", "e:usage")
VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen3-235b"} 7.0
vllm:num_requests_running{engine="1",model_name="qwen3-235b"} 5.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen3-235b"} 2.0
vllm:num_requests_waiting{engine="1",model_name="qwen3-235b"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="qwen3-235b"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="qwen3-235b"} 0.75
"""


def test_calls_add_up_and_the_fullest_cache_counts() -> None:
    """A server with several data-parallel ranks has a line for each."""
    names = PROVIDERS["vllm"].metrics
    assert names is not None
    assert read_metrics(names, VLLM) == (12, 2, 0.75)


def test_an_engine_without_a_word_of_its_cache_is_read() -> None:
    """What counts is what it works on."""
    assert read_metrics(NAMES, b"e:running 1\ne:waiting 0") == (1, 0, 0)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>",
        b"e:running 1\n",
        b"e:waiting 1\n",
        b"x e:running 1\ne:waiting 1\n",
        b"e:running NaN\ne:waiting 0\n",
        b"e:running -1\ne:waiting 0\n",
        b"e:running +Inf\ne:waiting 0\n",
        b"e:running one\ne:waiting 0\n",
        b"e:running{x=1\n} 3\ne:waiting 0\n",
        b"e:running" + b" " * 100 + b"1\ne:waiting 0\n",
    ],
)
def test_a_page_that_does_not_say_it_tells_nothing(page: bytes) -> None:
    """Another server's page, or a broken one; no number of it is believed."""
    assert read_metrics(NAMES, page) is None


def test_what_is_beyond_reason_is_bounded() -> None:
    """A page with lines without end, and a cache that is more than full."""
    page = b"e:running 1\n" * (MAX_LINES + 5) + b"e:waiting 2 1795420800\ne:usage 55"
    assert read_metrics(NAMES, page) == (MAX_LINES, 2, 1.0)
