"""What each provider's sites promise: where they compute, where and for how long they keep what they are sent.

Each row is dated and names its evidence. Where a source leaves a doubt the row says "unknown", which meets no demand:
the place of an endpoint is not the place where it computes. An operator whose contract says more writes that into the
backend's `promises`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hybridproxy.model.residency import NO_PROMISE, Promise

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


SITES: Final[Mapping[tuple[str, str], Promise]] = {
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
    ("openrouter", "us"): Promise(
        compute=frozenset({"US"}),
        storage=frozenset({"US"}),
        computes="passes calls on to providers in the US only, once the account has in-region routing",
        retains="lets each provider behind it keep what it wants, unless providers are pinned",
        processors="whichever provider in the US serves the call; with `pin` only those",
        evidence="https://openrouter.ai/docs/guides/features/sovereign-ai",
        dated="2026-08-06",
    ),
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
