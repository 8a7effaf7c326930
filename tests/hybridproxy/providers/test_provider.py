"""Tests of what a provider's row says."""

import pytest

from geo.countries import CONTINENT_OF
from hybridproxy.model.call import Operation
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS, OPENAI_PATHS, Continues, Provider


@pytest.mark.parametrize(
    ("base_path", "path"),
    [("", "/v1/chat/completions"), ("/v1", "/chat/completions"), ("/gpu/v1", "/chat/completions")],
)
def test_the_root_is_added_where_the_operator_left_it_out(base_path: str, path: str) -> None:
    """`https://10.0.3.11:8000` and `https://10.0.3.11:8000/v1` lead to the same place."""
    assert Provider("x", root="/v1").path(Operation.CHAT, base_path) == path


def test_without_a_root_the_base_url_is_taken_as_it_is() -> None:
    """An SDK's `base_url` ends where the operations begin."""
    assert Provider("x").path(Operation.EMBEDDING, "/compatible-mode/v1") == "/embeddings"
    assert set(OPENAI_PATHS) == set(Operation)


def test_who_has_no_site_is_hosted_by_the_operator() -> None:
    """Then the configuration has to say where it is."""
    assert {name for name, row in PROVIDERS.items() if row.self_hosted} == {"vllm", "sglang", "tensorrt-llm", "openai"}


def test_a_place_is_a_country_of_a_site_that_is_there() -> None:
    """Where an endpoint stands is said of sites alone; who may be anywhere has no place."""
    assert Provider("x").places == {}
    assert {(name, site): place for name, row in PROVIDERS.items() for site, place in row.places.items()} == {
        ("dashscope", "singapore"): "SG",
        ("dashscope", "beijing"): "CN",
        ("dashscope", "hongkong"): "HK",
        ("dashscope", "virginia"): "US",
        ("dashscope", "frankfurt"): "DE",
        ("dashscope", "tokyo"): "JP",
        ("together", ""): "US",
        ("openrouter", "us"): "US",
    }
    for row in PROVIDERS.values():
        assert set(row.places) <= set(row.sites)
        assert set(row.places.values()) <= set(CONTINENT_OF)


def test_control_fields_are_none_that_a_call_needs() -> None:
    """Taking them out never takes out what was asked for."""
    assert not CONTROL_FIELDS & {"model", "messages", "prompt", "input", "stream", "tools", "n", "response_format"}


def test_what_nobody_documents_is_not_assumed() -> None:
    """Continuing and running usage are said of a provider by its row alone."""
    plain = Provider("x")
    assert (plain.continuation, plain.running_usage) == (None, False)
    assert (plain.metrics, plain.salt, plain.prioritises, plain.caches_prefixes) == (None, "", False, False)
    assert {name for name, row in PROVIDERS.items() if row.continuation} == {
        "dashscope", "vllm", "sglang", "openrouter",
    }  # fmt: skip


def test_only_engines_speak_of_load_caches_and_priorities() -> None:
    """Who runs somewhere else is asked for nothing but answers."""
    engines = {"vllm", "sglang", "tensorrt-llm"}
    for name, row in PROVIDERS.items():
        assert row.caches_prefixes == (name in engines)
        assert name in engines or (row.metrics, row.salt, row.prioritises) == (None, "", False)
        assert row.metrics is None or row.metrics.path.startswith("/")


def test_a_continuation_adds_nothing_of_its_own() -> None:
    """What it adds stands in the row."""
    assert Continues() == Continues(message={}, body={}, template={})
