"""What tells one provider's wire from another's: one row each.

Everything here was taken from the providers' documentation, their published sources or captured traffic, not from the
code this simulator is used to test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

Json = dict[str, object]

CALLS: Final = frozenset({"chat/completions", "completions", "embeddings"})

PROMPT_PRICE: Final = 1000
"""Nano-dollars a prompt token, at every provider: whole numbers, so that bills can be compared to the cent."""
COMPLETION_PRICE: Final = 2000
"""Nano-dollars a token that was made."""


class Place(Enum):
    """Where an error is told."""

    STATUS = "status"
    """An HTTP status and a JSON body, also when the call asked for a stream."""
    BODY = "body"
    """Status 200 and a JSON body that holds the error."""
    CHOICE = "choice"
    """Status 200 and a JSON answer whose first choice holds the error."""
    FIRST_EVENT = "first_event"
    """A stream with status 200 whose first event is the error; `STATUS` for a call that does not stream."""
    FRAMED = "framed"
    """`STATUS`, but for a stream the JSON body stands behind `data: `."""


class Continues(Enum):
    """What makes an answer go on from the text of a last message that is the assistant's."""

    NEVER = "never"
    """Nothing: such a message is answered like any other."""
    TRAILING = "trailing"
    """That message alone."""
    PARTIAL = "partial"
    """`"partial": true` within it, though not while thinking; without it such a message is an error."""
    FLAG = "flag"
    """`"continue_final_message": true`, which excludes `"add_generation_prompt": true`; without it as `NEVER`."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One error of one provider.

    `bare` replaces the whole JSON body; `more` is merged into the error object.
    """

    status: int
    message: str
    type: str | None = None
    code: str | int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)
    place: Place = Place.STATUS
    bare: Mapping[str, object] | None = None


Shape = Callable[[ErrorRow, str], Json]


def openai_shape(error: ErrorRow, request_id: str) -> Json:
    """OpenAI, Together and most compatible servers: four fields, the code a string or null."""
    del request_id
    fields = {"message": error.message, "type": error.type, "param": None, "code": error.code}
    return {"error": {**fields, **error.more}}


def dashscope_shape(error: ErrorRow, request_id: str) -> Json:
    """DashScope's compatible mode: `param` is an empty string, the request id stands beside the error."""
    fields = {"message": error.message, "type": error.type or error.code, "param": "", "code": error.code}
    return {"error": {**fields, **error.more}, "id": request_id, "request_id": request_id}


def openrouter_shape(error: ErrorRow, request_id: str) -> Json:
    """OpenRouter: the code is the HTTP status as a number, the kind is `metadata.error_type`."""
    del request_id
    code = error.code if error.code is not None else error.status
    metadata: Json = {"error_type": error.type} if error.type else {}
    more = dict(error.more)
    extra = more.pop("metadata", {})
    if isinstance(extra, Mapping):
        metadata |= extra
    return {"error": {"code": code, "message": error.message, "metadata": metadata, **more}}


def vllm_shape(error: ErrorRow, request_id: str) -> Json:
    """Write vLLM's errors: the code is the HTTP status as a number."""
    del request_id
    code = error.code if error.code is not None else error.status
    return {"error": {"message": error.message, "type": error.type, "param": None, "code": code, **error.more}}


def flat_shape(error: ErrorRow, request_id: str) -> Json:
    """SGLang and TensorRT-LLM: no object around the fields; the code is the HTTP status as a number."""
    del request_id
    code = error.code if error.code is not None else error.status
    fields = {"object": "error", "message": error.message, "type": error.type, "param": None, "code": code}
    return {**fields, **error.more}


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's way of speaking the OpenAI dialect."""

    name: str
    prefix: str
    """The path of `base_url`."""
    shape: Shape
    models: tuple[str, ...]
    calls: frozenset[str] = CALLS
    id_prefix: str = "chatcmpl-"
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of every answer; `{id}` becomes the answer's id."""
    bare_model_list: bool = False
    """The list of models is an array and not {"object": "list", "data": […]}."""
    model_extras: Mapping[str, object] = field(default_factory=dict)
    """Constant fields of each model in the list."""
    takes_request_id: bool = False
    """The caller's `x-request-id` becomes the answer's id."""
    id_in_embeddings: bool = False
    open_paths: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Paths that need no key: content type and body, in which `{running}`, `{waiting}` and `{usage}` tell the load."""
    keyless: bool = False
    """No path needs a key."""
    caches: bool = False
    """It knows the beginnings of prompts it has read, kept apart by `cache_salt`; usage has them as `cached_tokens`."""
    role_in_every_delta: bool = False
    """True: each delta repeats the role. False: a first delta has the role and no text."""
    reasoning_field: str = "reasoning_content"
    chunk_extras: Mapping[str, object] = field(default_factory=dict)
    """Constant top-level fields of answers and chunks."""
    names_provider: bool = False
    """Answers say which host served them, finish reasons come twice, usage has a cost."""
    usage_always: bool = False
    """Usage comes unasked, on a chunk that repeats the finish reason instead of one without choices."""
    null_usage: bool = False
    """Chunks before the one with usage have `"usage": null`."""
    comment: str = ": keep-alive"
    comment_first: bool = False
    error_as_chunk: bool = False
    """An error within a stream is a chunk with a choice that finishes with "error"."""
    done_after_error: bool = False
    max_tokens_spares_reasoning: bool = False
    """`max_tokens` limits the text only; `max_completion_tokens` limits reasoning and text."""
    continues: Continues = Continues.NEVER
    strips_prefix: bool = False
    """The chat template drops white space at the end of a text to continue, so that the model says it again."""
    continuous_usage: bool = False
    """`stream_options.continuous_usage_stats` puts the usage so far on every chunk."""
    unauthorized: ErrorRow = field(default=ErrorRow(401, "Incorrect API key provided."))
    bad_request: ErrorRow = field(default=ErrorRow(400, "{message}", "invalid_request_error"))
    not_found: ErrorRow = field(default=ErrorRow(404, "{message}", "invalid_request_error"))
    broken: ErrorRow = field(default=ErrorRow(500, "Internal server error.", "server_error"))
    """What an error within a stream says unless told otherwise."""


_VLLM_METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen3-235b"} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen3-235b"} {waiting}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="qwen3-235b"} {usage}
"""

_SGLANG_METRICS = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="qwen3-235b"} {running}
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{model_name="qwen3-235b"} {waiting}
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="qwen3-235b"} {usage}
"""

_ROWS = (
    Provider(
        name="dashscope",
        prefix="/compatible-mode/v1",
        shape=dashscope_shape,
        calls=frozenset({"chat/completions", "embeddings"}),
        models=("qwen3-max", "qwen-plus", "qwen-flash", "qwen3-235b-a22b-instruct-2507", "text-embedding-v4"),
        headers=(
            ("server", "istio-envoy"),
            ("x-request-id", "{id}"),
            ("x-dashscope-call-gateway", "true"),
            ("req-cost-time", "1"),
        ),
        chunk_extras={"system_fingerprint": None, "service_tier": None},
        null_usage=True,
        id_in_embeddings=True,
        max_tokens_spares_reasoning=True,
        continues=Continues.PARTIAL,
        unauthorized=ErrorRow(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        bad_request=ErrorRow(400, "{message}", "invalid_request_error", "InvalidParameter"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_found"),
        broken=ErrorRow(500, "An internal error has occurred.", "InternalError", "InternalError"),
    ),
    Provider(
        name="together",
        prefix="/v1",
        shape=openai_shape,
        models=("Qwen/Qwen3-235B-A22B-Instruct-2507-tput", "Qwen/Qwen3.7-Plus", "Qwen/Qwen2.5-7B-Instruct-Turbo"),
        id_prefix="",
        headers=(("x-request-id", "{id}"), ("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "9")),
        bare_model_list=True,
        model_extras={"type": "chat", "context_length": 262144, "pricing": {"input": 1.0, "output": 2.0}},
        role_in_every_delta=True,
        reasoning_field="reasoning",
        usage_always=True,
        unauthorized=ErrorRow(401, "Invalid API key provided.", "invalid_request_error", "invalid_api_key"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_available"),
    ),
    Provider(
        name="openrouter",
        prefix="/api/v1",
        shape=openrouter_shape,
        models=("qwen/qwen3-235b-a22b-2507", "qwen/qwen3-max", "qwen/qwen3.8-27b"),
        id_prefix="gen-",
        id_in_embeddings=True,
        model_extras={
            "context_length": 262144,
            "pricing": {"prompt": "0.000001", "completion": "0.000002", "request": "0"},
        },
        headers=(("x-generation-id", "{id}"),),
        role_in_every_delta=True,
        reasoning_field="reasoning",
        names_provider=True,
        usage_always=True,
        comment=": OPENROUTER PROCESSING",
        comment_first=True,
        error_as_chunk=True,
        continues=Continues.TRAILING,
        unauthorized=ErrorRow(401, "No auth credentials found", "authentication"),
        bad_request=ErrorRow(400, "{message}", "invalid_request"),
        not_found=ErrorRow(404, "{message}", "not_found"),
        broken=ErrorRow(
            502, "Provider disconnected unexpectedly", "provider_unavailable", more={"metadata": {"provider_code": 500}}
        ),
    ),
    Provider(
        name="vllm",
        prefix="/v1",
        shape=vllm_shape,
        models=("qwen3-235b",),
        headers=(("server", "uvicorn"),),
        model_extras={"max_model_len": 32768, "parent": None},
        takes_request_id=True,
        id_in_embeddings=True,
        open_paths={
            "/health": ("text/plain", ""),
            "/ping": ("text/plain", ""),
            "/metrics": ("text/plain; version=1.0.0; charset=utf-8", _VLLM_METRICS),
        },
        reasoning_field="reasoning",
        done_after_error=True,
        continues=Continues.FLAG,
        strips_prefix=True,
        continuous_usage=True,
        caches=True,
        unauthorized=ErrorRow(401, "Unauthorized", bare={"error": "Unauthorized"}),
        bad_request=ErrorRow(400, "{message}", "BadRequestError"),
        not_found=ErrorRow(404, "{message}", "NotFoundError"),
        broken=ErrorRow(500, "EngineCore encountered an issue.", "InternalServerError"),
    ),
    Provider(
        name="sglang",
        prefix="/v1",
        shape=flat_shape,
        models=("qwen3-235b",),
        headers=(("server", "uvicorn"),),
        model_extras={"max_model_len": 32768},
        id_in_embeddings=True,
        open_paths={
            "/health": ("text/plain", ""),
            "/ready": ("text/plain", ""),
            "/metrics": ("text/plain; version=0.0.4; charset=utf-8", _SGLANG_METRICS),
        },
        done_after_error=True,
        continues=Continues.FLAG,
        continuous_usage=True,
        caches=True,
        unauthorized=ErrorRow(401, "Unauthorized", bare={"error": "Unauthorized"}),
        bad_request=ErrorRow(400, "{message}", "BadRequest"),
        not_found=ErrorRow(404, "{message}", "NotFoundError"),
        broken=ErrorRow(500, "The generation failed.", "InternalServerError"),
    ),
    Provider(
        name="tensorrt-llm",
        prefix="/v1",
        shape=flat_shape,
        calls=frozenset({"chat/completions", "completions"}),
        models=("qwen3-235b",),
        headers=(("server", "uvicorn"),),
        open_paths={"/health": ("text/plain", ""), "/metrics": ("application/json", "[]")},
        keyless=True,
        continuous_usage=True,
        bad_request=ErrorRow(400, "{message}", "BadRequestError"),
        not_found=ErrorRow(404, "{message}", "NotFoundError"),
        broken=ErrorRow(400, "CUDA error", "BadRequestError"),
    ),
    Provider(
        name="openai",
        prefix="/v1",
        shape=openai_shape,
        models=("gpt-sim", "text-embedding-sim"),
        headers=(("x-request-id", "{id}"), ("openai-processing-ms", "1")),
        chunk_extras={"service_tier": "default", "system_fingerprint": None},
        null_usage=True,
        unauthorized=ErrorRow(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_found"),
        broken=ErrorRow(500, "The server had an error while processing your request.", "server_error", "server_error"),
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({row.name: row for row in _ROWS})
