"""TensorRT-LLM's server, `trtllm-serve`: two files of its source, read in November 2026, and nothing beyond them.

It answers 400 for faults of its own too; its words cannot tell them apart, since a caller could put the same words
there, so a 400 counts as the caller's doing. A stream that fails is cut without an error event. It has neither keys nor
a limit of its queue, and refuses fields it does not know.

Continuation: none, `continue_final_message` is not in its schema. Load: `/metrics` is a queue of its iterations that a
reader drains, so it is left to whoever reads it now; the choice goes by our own calls. Cache: nothing is known that
keeps tenants' prefixes apart. Priority: a number whose default is not documented, so none is passed on.
"""

from hybridproxy.providers.provider import Provider

TENSORRT_LLM = Provider(name="tensorrt-llm", root="/v1", running_usage=True, caches_prefixes=True)
