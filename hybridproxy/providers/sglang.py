"""SGLang's server (0.5.23): its sources, read in November 2026.

Errors are flat (`{"object": "error", "message", "type", "param", "code"}`) where they come by HTTP, and under `error`
inside a stream, where `[DONE]` follows. It sends no 429 and no Retry-After; 503 means that the queue is full
(`--max-queued-requests`), and to a stream it comes as the first event of a 200.

Continuation: `continue_final_message` alone, for a content that is a text; without it a last message of the assistant's
would be taken for the user's.

Load: `/metrics`, where the server was started with `--enable-metrics`; it asks for no key. Cache: `cache_salt` as with
vLLM. Priority: which end comes first depends on how the server was started, so none is passed on.
"""

from hybridproxy.providers.lists import Lists
from hybridproxy.providers.metrics import Metrics
from hybridproxy.providers.parameters import FUNCTIONS, SEARCH
from hybridproxy.providers.provider import Continues, Provider
from hybridproxy.providers.thinks import NO_TEMPLATE, TEMPLATE, TEMPLATE_OWN, Thinks, same

SGLANG = Provider(
    name="sglang",
    root="/v1",
    continuation=Continues(body={"continue_final_message": True}, template={"enable_thinking": False}),
    refuses=FUNCTIONS | SEARCH,
    running_usage=True,
    metrics=Metrics("/metrics", "sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"),
    caches_prefixes=True,
    salt="cache_salt",
    thinks=Thinks(
        own=frozenset({"reasoning_effort", *TEMPLATE_OWN}),
        on=TEMPLATE,
        off=NO_TEMPLATE,
        effort="reasoning_effort",
        efforts=same("minimal", "low", "medium", "high", "xhigh", "max"),
    ),
    lists=Lists(context="max_model_len"),
)
