"""OpenRouter: its documentation repository (2026-08) and Python SDK 1.3.84 (`components/apierrortype`).

Usage always comes in the last chunk, with the cost in dollars; asking for it is a no-op. `n` is not in its schema: one
answer a call. Errors have a number as `code` and a stable `error_type`, in `metadata` or beside it; they also come
inside a 200, in a stream as a chunk with `finish_reason: "error"`. 404 `constraint_filtered` and `privacy_restricted`:
the pins left no provider; another backend may serve the call. A client's own `provider` object never passes; with `pin`
in the configuration ours says that only those may be used, without fall-back to others, without storing, and only if
they know every parameter.
Continuation: a message of the assistant that stands last is written on, without any flag (docs: assistant prefill);
whether that holds is up to the provider behind it, so it is only dependable with pins.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import FUNCTIONS
from hybridproxy.providers.provider import RESPONSES_WIRE, Body, Continues, Provider, Wire
from hybridproxy.providers.quotas import OPENROUTER_QUOTAS
from hybridproxy.providers.thinks import EFFORTS, Thinks, same


def _prepare(body: Body, pins: tuple[str, ...]) -> None:
    """Turn the operator's pins into OpenRouter's `provider` object."""
    if pins:
        body["provider"] = {
            "only": list(pins),
            "order": list(pins),
            "allow_fallbacks": False,
            "data_collection": "deny",
            "zdr": True,
            "require_parameters": True,
        }


OPENROUTER = Provider(
    name="openrouter",
    quotas=OPENROUTER_QUOTAS,
    marks=frozenset({"cache_control"}),
    sites={
        "": "https://openrouter.ai/api/v1",
        "us": "https://us.openrouter.ai/api/v1",
        "eu": "https://eu.openrouter.ai/api/v1",
    },
    places={"us": "US"},
    wires={Dialect.RESPONSES: RESPONSES_WIRE, Dialect.ANTHROPIC: Wire({Operation.CHAT: "/messages"})},
    asks_for_usage=False,
    drops=frozenset({"stream_options", "n", "store", "verbosity"}),
    refuses=FUNCTIONS,
    max_choices=1,
    prepare=_prepare,
    continuation=Continues(),
    answered_by="provider",
    cost="cost",
    reasoning="reasoning",
    thinks=Thinks(
        own=frozenset(
            {
                "reasoning.effort",
                "reasoning.max_tokens",
                "reasoning.enabled",
                "reasoning.exclude",
                "reasoning_effort",
                "include_reasoning",
            }
        ),
        on={"reasoning.enabled": True},
        off={"reasoning.enabled": False},
        budget="reasoning.max_tokens",
        effort="reasoning.effort",
        efforts=same(*EFFORTS),
        hide={"reasoning.exclude": True},
        either=True,
    ),
    lists=Lists(
        context="context_length",
        input="pricing.prompt",
        output="pricing.completion",
        per_million=1_000_000,
        removal="expiration_date",
        keyless=True,
    ),
    faults=(
        # a 403 about the content is the caller's doing and says nothing of our key
        FaultRule(FaultKind.CONTENT_REFUSED, status=403, says=("flagged", "moderation")),
        FaultRule(FaultKind.THROTTLED, code=("rate_limit_exceeded",)),
        FaultRule(FaultKind.OVERLOADED, code=("provider_overloaded", "provider_unavailable", "timeout")),
        # a cap on tokens that follows from the account's credit comes as a 400
        FaultRule(FaultKind.QUOTA, code=("payment_required", "token_limit_exceeded")),
        FaultRule(FaultKind.CREDENTIAL, code=("authentication",)),
        FaultRule(FaultKind.FORBIDDEN, code=("permission_denied", "region_restricted")),
        FaultRule(FaultKind.NOT_FOUND, code=("not_found", "no_endpoints", "model_deprecated")),
        # our pins left no provider
        FaultRule(FaultKind.NOT_FOUND, code=("constraint_filtered", "privacy_restricted")),
        # whatever stands in the way of this call alone; the vocabulary is open, the status decides about the rest
        FaultRule(
            FaultKind.INVALID_REQUEST,
            code=(
                "invalid_request",
                "invalid_prompt",
                "invalid_image",
                "image_",
                "unsupported_image_format",
                "unprocessable",
                "payload_too_large",
                "string_too_long",
                "max_tokens_exceeded",
            ),
        ),
        *OPENAI_FAULTS,
    ),
)
