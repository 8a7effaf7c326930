"""What each provider's sites promise: where they compute, where and for how long they keep what they are sent.

Each row is dated and names its evidence. Where a source leaves a doubt the row says "unknown", which meets no demand:
the place of an endpoint is not the place where it computes. An operator whose contract says more writes that into the
backend's `promises`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hybridproxy.model.residency import NO_PROMISE, Promise
from hybridproxy.providers.bedrock import REGIONS

_REGIONS = "https://www.alibabacloud.com/help/en/model-studio/regions"
_ALIBABA = Promise(evidence=_REGIONS, dated="2026-06-30")


def _alibaba(country: str, scope: str) -> Promise:
    """Return a site whose workspaces compute in one country or anywhere, as each was made; what it keeps stays."""
    return replace(
        _ALIBABA,
        storage=frozenset({country}),
        computes=f"computes anywhere, mainland China included, unless the workspace's scope is {scope}",
        stores=f"keeps data at rest in {country}",
    )


def _openrouter(countries: frozenset[str], name: str) -> Promise:
    """Return one of OpenRouter's regions."""
    return Promise(
        compute=countries,
        storage=countries,
        computes=f"passes calls on to providers in {name} only, once the account has in-region routing",
        retains="lets each provider behind it keep what it wants, unless providers are pinned",
        processors=f"whichever provider in {name} serves the call; with `pin` only those",
        evidence="https://openrouter.ai/docs/guides/features/sovereign-ai",
        dated="2026-08-06",
    )


def _portkey(evidence: str, dated: str) -> Promise:
    return Promise(
        computes="passes calls on to whatever the account's config names",
        processors="whatever the account's config names",
        evidence=evidence,
        dated=dated,
    )


def _unsaid(evidence: str, dated: str = "2026-11-23") -> Promise:
    """Return a site that says neither where it computes nor what it keeps, as far as its pages were read."""
    return Promise(evidence=evidence, dated=dated)


_EU: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip

_SITES: Final[Mapping[tuple[str, str], Promise]] = {
    ("dashscope", "singapore"): replace(
        _ALIBABA,
        storage=frozenset({"SG"}),
        computes="computes anywhere outside mainland China",
        stores="keeps data at rest in SG",
    ),
    ("dashscope", "beijing"): replace(
        _ALIBABA, compute=frozenset({"CN"}), storage=frozenset({"CN"}), computes="computes in mainland China"
    ),
    ("dashscope", "hongkong"): _ALIBABA,
    ("dashscope", "virginia"): _alibaba("US", "US"),
    ("dashscope", "frankfurt"): _alibaba("DE", "EU"),
    ("dashscope", "tokyo"): _alibaba("JP", "Japan"),
    ("together", ""): Promise(
        computes="computes in data centers it does not name for each model",
        retains="keeps prompts and answers unless the organisation has turned that off",
        evidence="https://docs.together.ai/docs/zero-data-retention",
        dated="2026-04-28",
    ),
    ("openrouter", ""): Promise(
        computes="passes calls on to providers anywhere",
        stores="lets each provider behind it keep what it wants, unless providers are pinned",
        retains="lets each provider behind it keep what it wants, unless providers are pinned",
        processors="whichever provider serves the call; with `pin` only those",
        evidence="https://openrouter.ai/docs/guides/routing/provider-selection",
        dated="2026-08-06",
    ),
    ("openrouter", "us"): _openrouter(frozenset({"US"}), "the US"),
    ("openrouter", "eu"): _openrouter(_EU, "the EU"),
    ("fireworks", ""): Promise(
        computes="computes in places it does not name, unless the model is a deployment that was placed",
        retains="keeps nothing of open models, and does not say what of others",
        evidence="https://docs.fireworks.ai/guides/security_compliance/data_handling",
        dated="2026-11-23",
    ),
    ("deepinfra", ""): Promise(
        computes="computes in places it does not name",
        retains="keeps nothing of open models; of Google's and Anthropic's models these keep what they want",
        evidence="https://docs.deepinfra.com/account/data-privacy",
        dated="2026-11-23",
    ),
    ("groq", ""): Promise(
        retention=30,
        computes="computes in places it does not name for a call",
        retains="keeps what it needs against abuse for 30 days, unless the account has turned that off",
        evidence="https://console.groq.com/docs/your-data",
        dated="2026-11-23",
    ),
    ("anthropic", ""): Promise(
        computes="computes anywhere, unless the workspace's inference geo is the US",
        stores="keeps data at rest where the workspace is",
        retains="keeps prompts and answers for 30 days, unless the organisation has zero data retention",
        evidence="https://platform.claude.com/docs/en/manage-claude/data-residency",
        dated="2026-11-26",
    ),
    ("cerebras", ""): _unsaid("https://inference-docs.cerebras.ai/"),
    ("novita", ""): _unsaid("https://novita.ai/docs"),
    ("gemini", ""): _unsaid("https://ai.google.dev/gemini-api/docs/openai"),
    ("deepseek", ""): _unsaid("https://api-docs.deepseek.com/"),
    ("deepseek", "beta"): _unsaid("https://api-docs.deepseek.com/"),
    ("tokenmix", ""): replace(
        _unsaid("https://tokenmix.ai/terms", "2026-03-29"),
        computes="passes calls on to providers it does not name, from Hong Kong and the US",
        processors="providers it does not name",
    ),
    ("portkey", ""): _portkey("https://portkey.ai/docs/product/ai-gateway", "2026-08-21"),
    ("portkey", "airs"): _portkey("https://docs.paloaltonetworks.com/prisma-airs/ai-gateway", "2026-09-15"),
    **{
        ("bedrock", region): Promise(
            computes=f"computes in {country}, unless the model's name is that of an inference profile",
            stores=f"keeps data in {country}, unless the model's name is that of an inference profile",
            retains="keeps what the account's setting for the model says",
            evidence="https://docs.aws.amazon.com/bedrock/latest/userguide/data-retention.html",
            dated="2026-11-23",
        )
        for region, country in REGIONS.items()
    },
}

SITES: Final[Mapping[tuple[str, str], Promise]] = {
    **_SITES,
    # another protocol of the same places
    **{("dashscope-native", site): found for (name, site), found in _SITES.items() if name == "dashscope"},
}

PINNED: Final[Mapping[str, Promise]] = {
    "openrouter": Promise(
        retention=0,
        retains="with `pin`, goes only to providers that keep nothing (data_collection: deny, zdr)",
        evidence="https://openrouter.ai/docs/guides/privacy/provider-logging",
        dated="2026-08-06",
    )
}
"""What changes with an operator's pins, which we send with every call and check in every answer."""


def promise_of(provider: str, site: str, *, pinned: bool, own_address: bool) -> Promise:
    """Return what a backend promises by itself.

    Args:
        provider: the row of `PROVIDERS`.
        site: its site, "" for its only one.
        pinned: the operator has pinned the providers behind it.
        own_address: the operator gave an address that is not known to be the site's: there nobody promised a thing.

    """
    if own_address:
        return NO_PROMISE
    found = SITES.get((provider, site), NO_PROMISE)
    pins = PINNED.get(provider) if pinned else None
    if pins is None:
        return found
    source = found if found.evidence else pins
    return replace(found, retention=pins.retention, retains=pins.retains, evidence=source.evidence, dated=source.dated)
