"""TensorRT-LLM's server, `trtllm-serve`: two files of its source, read in November 2026, and nothing beyond them.

It answers 400 for faults of its own too; its words cannot tell them apart, since a caller could put the same words
there, so a 400 counts as the caller's doing. A stream that fails is cut without an error event. It has neither keys nor
a limit of its queue, and refuses fields it does not know; of a chat it knows `max_completion_tokens` as `max_tokens`
alone. What it thought it tells twice, in `reasoning_content` and `reasoning`.

Continuation: none, `continue_final_message` is not in its schema. Load: `/metrics` is a queue of its iterations that a
reader drains, so it is left to whoever reads it now; the choice goes by our own calls. Cache: nothing is known that
keeps tenants' prefixes apart. Priority: a number whose default is not documented, so none is passed on.
"""

from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import CORE, FUNCTIONS, SEARCH, SOUND
from hybridproxy.providers.provider import Provider
from hybridproxy.providers.thinks import NO_TEMPLATE, TEMPLATE, TEMPLATE_OWN, Thinks, same

TENSORRT_LLM = Provider(
    name="tensorrt-llm",
    root="/v1",
    running_usage=True,
    accepts=CORE
    | {
        "add_generation_prompt",
        "add_special_tokens",
        "best_of",
        "chat_template",
        "chat_template_kwargs",
        "documents",
        "early_stopping",
        "echo",
        "ignore_eos",
        "include_stop_str_in_output",
        "length_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "media_io_kwargs",
        "min_p",
        "min_tokens",
        "mm_processor_kwargs",
        "parallel_tool_calls",
        "reasoning_effort",
        "repetition_penalty",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "stream_options",
        "thinking",
        "thinking_token_budget",
        "top_k",
        "top_logprobs",
        "top_p_min",
        "truncate_prompt_tokens",
        "use_beam_search",
        "user",
    },
    refuses=FUNCTIONS | SOUND | SEARCH,
    renames={"max_completion_tokens": "max_tokens"},
    caches_prefixes=True,
    thinks=Thinks(
        own=frozenset({"reasoning_effort", "thinking_token_budget", *TEMPLATE_OWN}),
        budget="thinking_token_budget",
        on=TEMPLATE,
        off=NO_TEMPLATE,
        effort="reasoning_effort",
        efforts=same("low", "medium", "high"),
    ),
    lists=Lists(),
)
