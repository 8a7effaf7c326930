"""Tests of what a provider's row says."""

from dataclasses import replace

import pytest

from geo.countries import CONTINENT_OF
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.bedrock import REGIONS
from hybridproxy.providers.provider import CONTROL_FIELDS, OPENAI_PATHS, Continues, Provider, Wire
from tests.support.make import call


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
    assert set(OPENAI_PATHS) == set(Operation) - {Operation.COUNT}


# ---- dialects --------------------------------------------------------------------------------------------------------

MESSAGES = Wire({Operation.CHAT: "/messages", Operation.COUNT: "/messages/count_tokens"})
BOTH = Provider("x", wires={Dialect.ANTHROPIC: MESSAGES})
ONE = Provider("x", paths={}, wires={Dialect.ANTHROPIC: MESSAGES})


@pytest.mark.parametrize(
    ("provider", "dialect", "plain", "spoken"),
    [
        (BOTH, Dialect.OPENAI, False, Dialect.OPENAI),
        (BOTH, Dialect.ANTHROPIC, False, Dialect.ANTHROPIC),
        (BOTH, Dialect.ANTHROPIC, True, Dialect.OPENAI),
        (BOTH, Dialect.DASHSCOPE, False, Dialect.OPENAI),
        (ONE, Dialect.OPENAI, False, Dialect.ANTHROPIC),
        (ONE, Dialect.ANTHROPIC, True, Dialect.ANTHROPIC),
    ],
)
def test_a_call_goes_out_in_the_callers_dialect_where_it_can(
    provider: Provider, dialect: Dialect, plain: bool, spoken: Dialect
) -> None:
    """Else in OpenAI's, else in the only one there is. Pins are said in OpenAI's alone."""
    assert provider.dialect_for(replace(call(), dialect=dialect), plain=plain) is spoken


def test_what_is_not_offered_has_no_dialect() -> None:
    """The gate leaves such a backend out."""
    assert (ONE.offers(Operation.COUNT), ONE.offers(Operation.EMBEDDING)) == (True, False)
    with pytest.raises(ValueError, match="'x' does not offer embedding"):
        ONE.dialect_for(call(operation=Operation.EMBEDDING), plain=False)


@pytest.mark.parametrize(
    ("wire", "base_path", "root"),
    [
        (MESSAGES, "/api/v1", "/api/v1"),
        (
            Wire({}, root="/apps/anthropic/v1", instead_of="/compatible-mode/v1"),
            "/compatible-mode/v1",
            "/apps/anthropic/v1",
        ),
        (Wire({}, root="/api/v1", instead_of="/compatible-mode/v1"), "/proxy/compatible-mode/v1", "/proxy/api/v1"),
        (Wire({}, root="/x", instead_of="/v1"), "", "/x"),
    ],
)
def test_another_dialect_may_stand_beside_the_endpoints_path(wire: Wire, base_path: str, root: str) -> None:
    """On the same host, and behind the same prefix of the operator's."""
    assert wire.root_at(base_path) == root


# ---- rows ------------------------------------------------------------------------------------------------------------


def test_who_has_no_site_is_hosted_by_the_operator() -> None:
    """Then the configuration has to say where it is."""
    assert {name for name, row in PROVIDERS.items() if row.self_hosted} == {
        "vllm", "sglang", "tensorrt-llm", "llama-cpp", "openai", "litellm",
    }  # fmt: skip
    assert [name for name, row in PROVIDERS.items() if row.passes_on] == ["litellm"]


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
        ("dashscope-native", "singapore"): "SG",
        ("dashscope-native", "beijing"): "CN",
        ("dashscope-native", "hongkong"): "HK",
        ("dashscope-native", "virginia"): "US",
        ("dashscope-native", "frankfurt"): "DE",
        ("dashscope-native", "tokyo"): "JP",
        ("together", ""): "US",
        ("openrouter", "us"): "US",
    } | {("bedrock", region): country for region, country in REGIONS.items()}
    for row in PROVIDERS.values():
        assert set(row.places) <= set(row.sites)
        assert set(row.places.values()) <= set(CONTINENT_OF)


def test_control_fields_are_none_that_a_call_needs() -> None:
    """Taking them out never takes out what was asked for."""
    assert not CONTROL_FIELDS & {"model", "messages", "prompt", "input", "stream", "tools", "n", "response_format"}


def test_what_nobody_documents_is_not_assumed() -> None:
    """Continuing and running usage are said of a provider by its row alone."""
    plain = Provider("x")
    assert (plain.accepts, plain.thinks) == (None, None)
    assert plain.succeeds == {200}
    assert not plain.refuses
    assert (plain.continuation, plain.running_usage) == (None, False)
    assert (plain.metrics, plain.salt, plain.prioritises, plain.caches_prefixes) == (None, "", False, False)
    assert {name for name, row in PROVIDERS.items() if row.continuation} == {
        "dashscope", "dashscope-native", "vllm", "sglang", "llama-cpp", "openrouter", "deepseek",
    }  # fmt: skip


def test_some_continue_at_one_of_their_sites_alone() -> None:
    """DeepSeek does at its beta address; who names no site does at each, and who does not at all at none."""
    assert [site for site in PROVIDERS["deepseek"].sites if PROVIDERS["deepseek"].continues_at(site)] == ["beta"]
    assert PROVIDERS["dashscope"].continues_at("tokyo")
    assert not PROVIDERS["together"].continues_at("")


def test_only_engines_speak_of_load_caches_and_priorities() -> None:
    """Who runs somewhere else is asked for nothing but answers."""
    engines = {"vllm", "sglang", "tensorrt-llm", "llama-cpp"}
    for name, row in PROVIDERS.items():
        assert row.caches_prefixes == (name in engines)
        assert name in engines or (row.metrics, row.salt, row.prioritises) == (None, "", False)
        assert row.metrics is None or row.metrics.path.startswith("/")


def test_a_continuation_adds_nothing_of_its_own() -> None:
    """What it adds stands in the row."""
    assert Continues() == Continues(message={}, body={}, template={}, sites=frozenset())


def test_a_list_is_asked_for_under_the_base_url_or_at_an_address_of_its_own() -> None:
    """Or under another dialect's, which is the provider's own; Bedrock has such a call in another API alone."""
    assert {name for name, row in PROVIDERS.items() if row.lists is None} == {"bedrock"}
    for row in PROVIDERS.values():
        assert row.lists is None or row.lists.path.startswith(("/", "https://"))
        assert row.lists is None or row.lists.dialect is None or row.lists.dialect in row.wires


def test_a_key_is_shown_at_a_site_as_it_is_elsewhere_unless_the_site_says_so() -> None:
    """Portkey's newer gateway does."""
    portkey = PROVIDERS["portkey"]
    assert portkey.auth_for("") is portkey.auth
    assert portkey.auth_for("airs") is portkey.auth_at["airs"]


def test_what_would_route_behind_an_aggregator_never_passes() -> None:
    """OpenRouter's presets choose providers and models; LiteLLM goes where a router leads that came along."""
    assert {"preset", "user_config", "model_list", "router_settings_override"} <= CONTROL_FIELDS
