"""Fireworks: its Python SDK 1.2.30 (`types/chat/completion_create_params`) and docs.fireworks.ai (2026-08).

Serverless models (`accounts/fireworks/models/…`) and dedicated deployments (`accounts/ACCOUNT/deployments/ID`, or
`MODEL#DEPLOYMENT`) have the same address: which it is stands in the model's name alone. A deployment that was scaled
to zero says 503 `DEPLOYMENT_SCALING_UP`, for minutes. 412: the account is suspended. Where serverless models compute
is not documented; a deployment computes where its `placement` says, which the operator can put into `promises`.

An input that is too long would be cut off in silence: that is its default, so an error is asked for. `max_tokens`
beside `max_completion_tokens` is an error. Continuation: nothing is documented.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import CORE, SEARCH, SOUND
from hybridproxy.providers.provider import RESPONSES_WIRE, Body, Provider, Wire
from hybridproxy.providers.thinks import Thinks, same


def _prepare(body: Body, pins: tuple[str, ...]) -> None:  # noqa: ARG001 - the signature of every row's function
    if "messages" in body:
        body.setdefault("context_length_exceeded_behavior", "error")
    if body.get("max_completion_tokens") is not None:
        body.pop("max_tokens", None)


FIREWORKS = Provider(
    name="fireworks",
    sites={"": "https://api.fireworks.ai/inference/v1"},
    wires={Dialect.RESPONSES: RESPONSES_WIRE, Dialect.ANTHROPIC: Wire({Operation.CHAT: "/messages"})},
    accepts=CORE
    | {
        "context_length_exceeded_behavior",
        "echo",
        "echo_last",
        "function_call",
        "functions",
        "ignore_eos",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "metadata",
        "min_p",
        "mirostat_lr",
        "mirostat_target",
        "parallel_tool_calls",
        "perf_metrics_in_response",
        "prediction",
        "prompt_cache_isolation_key",
        "prompt_cache_key",
        "prompt_truncate_len",
        "raw_output",
        "reasoning_effort",
        "reasoning_history",
        "repetition_penalty",
        "return_token_ids",
        "safe_tokenization",
        "service_tier",
        "speculation",
        "stream_options",
        "thinking",
        "top_k",
        "top_logprobs",
        "typical_p",
        "user",
    },
    refuses=SOUND | SEARCH,
    prepare=_prepare,
    thinks=Thinks(
        own=frozenset({"reasoning_effort", "thinking.type", "thinking.budget_tokens"}),
        on={"thinking.type": "enabled"},
        off={"thinking.type": "disabled"},
        budget="thinking.budget_tokens",
        with_budget={"thinking.type": "enabled"},
        least=1024,
        effort="reasoning_effort",
        efforts=same("none", "low", "medium", "high"),
        either=True,
    ),
    # its control plane, which is not under the address of the inference; a deployment is on no list
    lists=Lists(
        about=r"accounts/fireworks/models/[^#]+",
        path="https://api.fireworks.ai/v1/serverless/models",
        context="context_length",
        input="pricing.sku=LLM input tokens (uncached).amount",
        output="pricing.sku=LLM output tokens.amount",
    ),
)
