"""What sites promise: rows that an auditor can follow to their source."""

import re

import pytest

from geo.countries import CONTINENT_OF
from hybridproxy.model.residency import NO_PROMISE, Residency
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.sites import PINNED, SITES, promise_of
from hybridproxy.routing.gate import resides

US = frozenset({"US"})


@pytest.mark.parametrize(("provider", "site"), SITES)
def test_a_row_is_dated_and_names_its_evidence(provider: str, site: str) -> None:
    """It is of a site there is, and its places are countries."""
    promise = SITES[provider, site]
    assert site in PROVIDERS[provider].sites
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", promise.dated)
    assert promise.evidence.startswith("https://")
    for places in (promise.compute, promise.storage):
        assert places is None or places <= CONTINENT_OF.keys()


def test_every_site_of_a_third_party_has_a_row() -> None:
    """Unknown means no; but that it is unknown is known."""
    sites = {(name, site) for name, provider in PROVIDERS.items() for site in provider.sites}
    assert sites - SITES.keys() <= {("openai", "")}
    assert PINNED.keys() <= PROVIDERS.keys()


def test_the_place_of_an_endpoint_is_not_where_it_computes() -> None:
    """The fact that stands against it is told in its own words."""
    for site in ("singapore", "virginia"):
        promise = promise_of("dashscope", site, pinned=False, own_address=False)
        against = resides(Residency(compute=US), promise)
        assert against is not None
        assert against.startswith(promise.computes)
    singapore = promise_of("dashscope", "singapore", pinned=False, own_address=False)
    assert resides(Residency(compute=frozenset({"SG"})), singapore) == (
        "computes anywhere outside mainland China; the call may be computed in SG only"
    )
    assert resides(Residency(storage=frozenset({"SG"})), singapore) is None


def test_who_does_not_say_meets_no_demand() -> None:
    """Nor who says it of some of its models."""
    silent = {
        "fireworks",
        "deepinfra",
        "groq",
        "cerebras",
        "novita",
        "gemini",
        "deepseek",
        "tokenmix",
        "portkey",
        "bedrock",
    }
    for (name, site), promise in SITES.items():
        if name in silent:
            assert resides(Residency(compute=frozenset(CONTINENT_OF)), promise) is not None, site
            assert resides(Residency(storage=frozenset(CONTINENT_OF)), promise) is not None, site
            assert resides(Residency(retention=0), promise) is not None, site
    assert resides(Residency(retention=30), SITES["groq", ""]) is None
    assert resides(Residency(compute=frozenset({"DE", "FR"})), SITES["openrouter", "eu"]) is not None


def test_pins_keep_others_from_keeping_anything() -> None:
    """Then it is kept nowhere, so no country of storage stands against it; where it is computed stays unknown."""
    pinned = promise_of("openrouter", "", pinned=True, own_address=False)
    assert resides(Residency(storage=US, retention=0), pinned) is None
    assert resides(Residency(compute=US), pinned) is not None
    loose = promise_of("openrouter", "", pinned=False, own_address=False)
    assert resides(Residency(retention=0), loose) is not None
    assert resides(Residency(compute=US), promise_of("openrouter", "us", pinned=False, own_address=False)) is None


def test_an_address_of_ones_own_promises_nothing() -> None:
    """Whatever speaks like Together may stand anywhere."""
    assert promise_of("together", "", pinned=False, own_address=True) == NO_PROMISE
    assert promise_of("vllm", "", pinned=False, own_address=True) == NO_PROMISE
    assert promise_of("openrouter", "us", pinned=True, own_address=True) == NO_PROMISE
