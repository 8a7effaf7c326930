"""vLLM's own server (0.33.0), and with it SGLang (0.5.23) and TensorRT-LLM: their sources, read in November 2026.

vLLM and SGLang send no 429 and no Retry-After; 503 means that the queue is full, and with SGLang it may come as the
first event of a 200. An error inside a stream is followed by `[DONE]`, so `[DONE]` proves nothing. `finish_reason` may
be `abort`. 404 is an unknown model. TensorRT-LLM answers 400 for its own faults too; its words cannot tell them apart,
since a caller could put the same words there, so a 400 counts as the caller's doing.
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.provider import Provider

VLLM = Provider(
    name="vllm",
    root="/v1",
    faults=(
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("maximum model length", "longer than the maximum")),
        *OPENAI_FAULTS,
    ),
)
