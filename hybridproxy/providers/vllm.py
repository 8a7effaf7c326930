"""vLLM's own server (0.33.0): its sources, read in November 2026. SGLang and TensorRT-LLM have rows of their own.

It sends no 429 and no Retry-After; 503 means that the queue is full. An error inside a stream is followed by `[DONE]`,
so `[DONE]` proves nothing. `finish_reason` may be `abort`. 404 is an unknown model.

Continuation: it refuses `continue_final_message` beside `add_generation_prompt`, which is on unless it is sent as
false. Qwen's hybrid models think unless their template is told not to, and would take the text for thought.

Load: `/metrics` asks for no key. Cache: requests with different `cache_salt`s share no prefix cache. Priority: a whole
number, lower is earlier, and any but 0 is an error unless the engine was started with `--scheduling-policy priority`; a
real 0.32.0 takes it without, and passes it over.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.metrics import Metrics
from hybridproxy.providers.parameters import FUNCTIONS, SEARCH
from hybridproxy.providers.provider import Continues, Provider, Wire
from hybridproxy.providers.thinks import NO_TEMPLATE, TEMPLATE, TEMPLATE_OWN, Thinks, same

VLLM = Provider(
    name="vllm",
    root="/v1",
    wires={Dialect.ANTHROPIC: Wire({Operation.COUNT: "/messages/count_tokens"}, root="/v1", instead_of="/v1")},
    continuation=Continues(
        body={"continue_final_message": True, "add_generation_prompt": False}, template={"enable_thinking": False}
    ),
    refuses=FUNCTIONS | SEARCH,
    running_usage=True,
    metrics=Metrics("/metrics", "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"),
    caches_prefixes=True,
    salt="cache_salt",
    prioritises=True,
    reasoning="reasoning",
    thinks=Thinks(
        own=frozenset({"reasoning_effort", "include_reasoning", "thinking_token_budget", *TEMPLATE_OWN}),
        on=TEMPLATE,
        off=NO_TEMPLATE,
        budget="thinking_token_budget",
        effort="reasoning_effort",
        efforts=same("minimal", "low", "medium", "high", "xhigh", "max"),
        hide={"include_reasoning": False},
    ),
    lists=Lists(context="max_model_len"),
    faults=(
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("maximum model length", "longer than the maximum")),
        *OPENAI_FAULTS,
    ),
)
