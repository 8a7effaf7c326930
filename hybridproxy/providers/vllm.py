"""vLLM's own server (0.33.0), and with it SGLang (0.5.23) and TensorRT-LLM: their sources, read in November 2026.

vLLM and SGLang send no 429 and no Retry-After; 503 means that the queue is full, and with SGLang it may come as the
first event of a 200. An error inside a stream is followed by `[DONE]`, so `[DONE]` proves nothing. `finish_reason` may
be `abort`. 404 is an unknown model. TensorRT-LLM answers 400 for its own faults too; its words cannot tell them apart,
since a caller could put the same words there, so a 400 counts as the caller's doing.

Continuation: vLLM refuses `continue_final_message` beside `add_generation_prompt`, which is on unless it is sent as
false. SGLang needs the first alone and ignores fields it does not have, such as the second; without the flag it would
take the last message for the user's. TensorRT-LLM lacks the first and refuses unknown fields, so a continuation ends
there with a 400 before any output. All three know `continuous_usage_stats`.
Qwen's hybrid models think unless their template is told not to, and would take the text for thought.
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.provider import Continues, Provider

VLLM = Provider(
    name="vllm",
    root="/v1",
    continuation=Continues(
        body={"continue_final_message": True, "add_generation_prompt": False}, template={"enable_thinking": False}
    ),
    running_usage=True,
    faults=(
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("maximum model length", "longer than the maximum")),
        *OPENAI_FAULTS,
    ),
)
