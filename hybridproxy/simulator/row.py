"""What tells one provider's wire from another's: what a row has.

Everything here was taken from the providers' documentation, their published sources or captured traffic, not from the
code this simulator is used to test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

Json = dict[str, object]

CALLS: Final = frozenset({"chat/completions", "completions", "embeddings"})
RESPONSES: Final = frozenset({"responses"})
"""OpenAI's Responses API, beside the others."""

TEXT, MULTIMODAL = "services/aigc/text-generation/generation", "services/aigc/multimodal-generation/generation"
EMBEDDING = "services/embeddings/text-embedding/text-embedding"
"""The calls of DashScope's own protocol."""

MESSAGES, COUNT = "messages", "messages/count_tokens"
"""The calls of Anthropic's Messages API."""

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
    PREFIX = "prefix"
    """`"prefix": true` within it; without it as `NEVER`."""
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
"""Writes an error, given the id of its request."""


def openai_shape(error: ErrorRow, request_id: str) -> Json:
    """OpenAI, Together and most compatible servers: four fields, the code a string or null."""
    del request_id
    fields = {"message": error.message, "type": error.type, "param": None, "code": error.code}
    return {"error": {**fields, **error.more}}


def dashscope_shape(error: ErrorRow, request_id: str) -> Json:
    """DashScope's compatible mode: `param` is an empty string, the request id stands beside the error."""
    fields = {"message": error.message, "type": error.type or error.code, "param": "", "code": error.code}
    return {"error": {**fields, **error.more}, "id": request_id, "request_id": request_id}


_NATIVE_CODES: Final = {
    "data_inspection_failed": "DataInspectionFailed",
    "invalid_api_key": "InvalidApiKey",
    "model_not_found": "ModelNotFound",
    "limit_requests": "Throttling.RateQuota",
    "limit_burst_rate": "Throttling.BurstRate",
    "insufficient_quota": "Throttling.AllocationQuota",
}
"""The compatible mode's word for an error -> the service's own."""
_NATIVE_STATUSES: Final = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "ModelNotFound",
    429: "Throttling.RateQuota",
    503: "ModelUnavailable",
}


def native_shape(error: ErrorRow, request_id: str) -> Json:
    """DashScope's own protocol: a code that is always there, no object around it."""
    code = error.code or _NATIVE_STATUSES.get(error.status, "InternalError")
    code = _NATIVE_CODES.get(str(code), code)
    return {"code": code, "message": error.message, "request_id": request_id, **error.more}


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
class Native:
    """How an answer in DashScope's own protocol is to be written."""

    text: bool = False
    """As one text, and not as messages."""
    increments: bool = False
    """Each event has what is new, and not all so far."""
    sees: bool = False
    """The content of a message is in parts."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's way of speaking the OpenAI dialect, or DashScope's own, or Anthropic's."""

    name: str
    prefix: str
    """The path of `base_url`."""
    shape: Shape
    models: tuple[str, ...]
    calls: frozenset[str] = CALLS
    native: bool = False
    """It speaks DashScope's own protocol."""
    anthropic: bool = False
    """It speaks Anthropic's Messages API."""
    second: "Provider | None" = None
    """How the same server speaks under another prefix."""
    messages: "Provider | None" = None
    """How the same server speaks Anthropic's Messages API."""
    strict: bool = False
    """It wants the version of that API, and refuses fields that it does not know."""
    signs: bool = False
    """What was thought is signed, and refused with another signature."""
    done_after_stop: bool = False
    """`data: [DONE]` follows the last event of that API."""
    id_prefix: str = "chatcmpl-"
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of every answer; `{id}` becomes the answer's id."""
    key_header: str = ""
    """A header that shows the key instead of `authorization`."""
    signed: bool = False
    """A signature of AWS (version 4) in `authorization` is a key, too: the name of its pair."""
    blank_lines: int = 0
    """Empty lines before the JSON of an answer that does not stream."""
    listed_errors: bool = False
    """An error by HTTP is a list of one."""
    whole_tools: bool = False
    """Calls of tools come whole, without an index or an id, and the choice ends with "stop"."""
    beside: str = ""
    """A field of chunks with the request's id, in which an error within a stream stands as a text."""
    more_usage: str = ""
    """A second name for what the cache had, beside the rest of usage."""
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
    bills_failures: bool = True
    """A connection it loses before the first token is billed for its prompt; so it is where nobody says otherwise."""
    writes_as: str = ""
    """What usage calls the tokens that `cache_control` put into the cache; "": that is not taken."""
    caches: bool = False
    """It knows the beginnings of prompts it has read, kept apart by `cache_salt`; usage has them as `cached_tokens`."""
    role_in_every_delta: bool = False
    """True: each delta repeats the role. False: a first delta has the role and no text."""
    reasoning_field: str = "reasoning_content"
    flat_logprobs: bool = False
    """Probabilities are lists beside each other, and one bare number in a chunk; they are asked for with a number."""
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
    keeps_responses: bool = False
    """A response is kept, unless it says that it shall not be, and can be gone on from by its id."""
    summarises: bool = False
    """Of what it thought a response has a summary, and not the thoughts."""
    unauthorized: ErrorRow = field(default=ErrorRow(401, "Incorrect API key provided."))
    bad_request: ErrorRow = field(default=ErrorRow(400, "{message}", "invalid_request_error"))
    not_found: ErrorRow = field(default=ErrorRow(404, "{message}", "invalid_request_error"))
    broken: ErrorRow = field(default=ErrorRow(500, "Internal server error.", "server_error"))
    """What an error within a stream says unless told otherwise."""


def cerebras_shape(error: ErrorRow, request_id: str) -> Json:
    """Cerebras: no object around the fields, and the code is a word."""
    del request_id
    return {"message": error.message, "type": error.type, "param": None, "code": error.code, **error.more}


def novita_shape(error: ErrorRow, request_id: str) -> Json:
    """Novita: no object around the fields, the status as a number, its name as the reason."""
    del request_id
    reason = error.code if isinstance(error.code, str) else error.type
    return {"code": error.status, "reason": reason, "message": error.message, "metadata": {"reason": ""}, **error.more}


def google_shape(error: ErrorRow, request_id: str) -> Json:
    """Gemini: the status as a number, its name as `status`."""
    del request_id
    return {"error": {"code": error.status, "message": error.message, "status": error.type, **error.more}}


def numbered_shape(error: ErrorRow, request_id: str) -> Json:
    """LiteLLM: the code is the HTTP status as a text."""
    del request_id
    fields = {"message": error.message, "type": error.type, "param": None, "code": str(error.status)}
    return {"error": {**fields, **error.more}}


def groq_shape(error: ErrorRow, request_id: str) -> Json:
    """Groq: no param, and a code only where there is one."""
    del request_id
    code = {"code": error.code} if error.code is not None else {}
    return {"error": {"message": error.message, "type": error.type, **code, **error.more}}


_MESSAGES_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_shape(error: ErrorRow, request_id: str) -> Json:
    """Anthropic: the type follows from the status, an object around all of it, the request's id beside the error."""
    usual = "api_error" if error.status >= 500 else "invalid_request_error"
    type_ = error.type or _MESSAGES_TYPES.get(error.status, usual)
    return {"type": "error", "error": {"type": type_, "message": error.message}, "request_id": request_id}
