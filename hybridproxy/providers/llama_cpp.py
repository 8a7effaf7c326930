"""llama.cpp's server: its sources and README (2026-10), and a real one (xllamacpp 2026.10, in November 2026).

Errors have a number as `code` and a name as `type`. 503 means that the model is still being loaded. Mistakes of a
caller are also told with a 500: an image for a model without eyes, tools that are none. Any name of a model is taken
for the one that it has. Continuation: a last message of the assistant's is written on by itself, and with vLLM's two
flags, too; a stream has the new text alone, an answer that does not stream begins with the old one. Load: `/metrics`,
where it was started with `--metrics`, with the key; newer ones do not tell the cache's use. Cache: each slot keeps what
its last prompt began with, for whoever comes next; nothing keeps tenants apart. A call's own choice of a slot never
passes. Its list has the window of one slot.
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

LLAMA_CPP = Provider(
    name="llama-cpp",
    root="/v1",
    wires={Dialect.ANTHROPIC: Wire({Operation.COUNT: "/messages/count_tokens"}, root="/v1", instead_of="/v1")},
    continuation=Continues(
        body={"continue_final_message": True, "add_generation_prompt": False}, template={"enable_thinking": False}
    ),
    refuses=FUNCTIONS | SEARCH,
    metrics=Metrics(
        "/metrics", "llamacpp:requests_processing", "llamacpp:requests_deferred", "llamacpp:kv_cache_usage_ratio"
    ),
    caches_prefixes=True,
    thinks=Thinks(
        own=TEMPLATE_OWN,
        on=TEMPLATE,
        off=NO_TEMPLATE,
        effort="chat_template_kwargs.reasoning_effort",
        efforts=same("low", "medium", "high"),
    ),
    lists=Lists(context="meta.n_ctx"),
    faults=(
        FaultRule(FaultKind.CONTEXT_TOO_LONG, code=("exceed_context_size",)),
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=(400, 500), says=("too large to process",)),
        FaultRule(FaultKind.INVALID_REQUEST, status=500, says=("input is not supported", "failed to parse")),
        *OPENAI_FAULTS,
    ),
)
