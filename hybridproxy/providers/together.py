"""Together AI: its OpenAPI description (2026-04) and Python SDK 3.1.1.

The schema has no `max_completion_tokens`, `stream_options`, `parallel_tool_calls`, `user`, `metadata`, `store`,
`service_tier`, `top_logprobs` or `verbosity`; what it does with unknown fields is not documented, so they are not sent.
`logprobs` is a number from 0 to 20 there. Usage comes without asking.
403 means that input and max_tokens exceed the context (docs: error-codes), not that access is denied. 429 is "above
your dynamic rate", 503 "at or below it, the platform is busy" (docs: serverless/rate-limits).
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import CORE, FUNCTIONS, SEARCH, SOUND
from hybridproxy.providers.provider import Body, Provider
from hybridproxy.providers.quotas import TOGETHER_QUOTAS
from hybridproxy.providers.thinks import TEMPLATE_OWN, Thinks, same

_MAX_LOGPROBS = 20


def _prepare(body: Body, pins: tuple[str, ...]) -> None:  # noqa: ARG001 - the signature of every row's function
    """OpenAI's pair `logprobs: true, top_logprobs: n` is one number here."""
    top = body.pop("top_logprobs", None)
    if body.get("logprobs") is True:
        body["logprobs"] = min(top, _MAX_LOGPROBS) if type(top) is int and top > 0 else 1
    elif body.get("logprobs") is False:
        del body["logprobs"]


TOGETHER = Provider(
    name="together",
    quotas=TOGETHER_QUOTAS,
    sites={"": "https://api.together.ai/v1"},
    places={"": "US"},
    asks_for_usage=False,
    accepts=CORE
    | {
        "chat_template_kwargs",
        "compliance",
        "context_length_exceeded_behavior",
        "echo",
        "function_call",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "min_p",
        "reasoning",
        "reasoning_effort",
        "repetition_penalty",
        "safety_model",
        "top_k",
        "top_logprobs",
    },
    refuses=FUNCTIONS | SOUND | SEARCH,
    drops=frozenset(
        {"stream_options", "parallel_tool_calls", "user", "metadata", "store", "service_tier", "verbosity"}
    ),
    renames={"max_completion_tokens": "max_tokens"},
    prepare=_prepare,
    reasoning="reasoning",
    flat_logprobs=True,
    finishes={"eos": "stop"},
    thinks=Thinks(
        own=frozenset({"reasoning.enabled", "reasoning_effort", *TEMPLATE_OWN}),
        on={"reasoning.enabled": True},
        off={"reasoning.enabled": False},
        effort="reasoning_effort",
        efforts=same("low", "medium", "high"),
    ),
    lists=Lists(entries="", context="context_length", input="pricing.input", output="pricing.output"),
    faults=(FaultRule(FaultKind.CONTEXT_TOO_LONG, status=403), *OPENAI_FAULTS),
)
