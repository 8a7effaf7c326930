"""What tells one provider's wire from another's: one row each.

Everything here and in the files beside this one was taken from the providers' documentation, their published sources or
captured traffic, not from the code this simulator is used to test.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hybridproxy.simulator.row import (
    CALLS,
    COMPLETION_PRICE,
    EMBEDDING,
    MULTIMODAL,
    PROMPT_PRICE,
    RESPONSES,
    TEXT,
    Continues,
    ErrorRow,
    Json,
    Place,
    Provider,
    Shape,
    dashscope_shape,
    native_shape,
    openai_shape,
    openrouter_shape,
)
from hybridproxy.simulator.rows_clouds import CLOUDS
from hybridproxy.simulator.rows_engines import ENGINES
from hybridproxy.simulator.rows_gateways import GATEWAYS
from hybridproxy.simulator.rows_messages import ANTHROPIC, messages_at

__all__ = [
    "CALLS",
    "COMPLETION_PRICE",
    "PROMPT_PRICE",
    "PROVIDERS",
    "RESPONSES",
    "Continues",
    "ErrorRow",
    "Json",
    "Place",
    "Provider",
    "Shape",
]

_DASHSCOPE_HEADERS = (
    ("server", "istio-envoy"),
    ("x-request-id", "{id}"),
    ("x-dashscope-call-gateway", "true"),
    ("req-cost-time", "1"),
)
_DASHSCOPE_MODELS = ("qwen3-max", "qwen-plus", "qwen-flash", "qwen3-235b-a22b-instruct-2507", "text-embedding-v4")
_DASHSCOPE_NATIVE = Provider(
    name="dashscope-native",
    bills_failures=False,
    writes_as="cache_creation_input_tokens",
    prefix="/api/v1",
    shape=native_shape,
    calls=frozenset({TEXT, MULTIMODAL, EMBEDDING}),
    native=True,
    models=_DASHSCOPE_MODELS,
    id_prefix="",
    headers=_DASHSCOPE_HEADERS,
    max_tokens_spares_reasoning=True,
    continues=Continues.PARTIAL,
    unauthorized=ErrorRow(401, "Invalid API-key provided.", code="InvalidApiKey"),
    bad_request=ErrorRow(400, "{message}", code="InvalidParameter"),
    not_found=ErrorRow(404, "{message}", code="InvalidURL"),
    broken=ErrorRow(500, "An internal error has occurred.", code="InternalError"),
)

_ROWS = (
    _DASHSCOPE_NATIVE,
    Provider(
        name="dashscope",
        bills_failures=False,  # "failed calls are not billed"
        writes_as="cache_creation_input_tokens",
        second=_DASHSCOPE_NATIVE,
        messages=messages_at("/apps/anthropic/v1"),
        prefix="/compatible-mode/v1",
        shape=dashscope_shape,
        calls=frozenset({"chat/completions", "embeddings"}) | RESPONSES,
        keeps_responses=True,
        summarises=True,
        models=_DASHSCOPE_MODELS,
        headers=_DASHSCOPE_HEADERS,
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
        flat_logprobs=True,
        usage_always=True,
        unauthorized=ErrorRow(401, "Invalid API key provided.", "invalid_request_error", "invalid_api_key"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_available"),
    ),
    Provider(
        name="openrouter",
        bills_failures=False,  # "zero completion insurance"
        writes_as="cache_write_tokens",
        prefix="/api/v1",
        messages=messages_at("/api/v1", done_after_stop=True),
        shape=openrouter_shape,
        calls=CALLS | RESPONSES,
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
        name="openai",
        prefix="/v1",
        shape=openai_shape,
        calls=CALLS | RESPONSES,
        keeps_responses=True,
        summarises=True,
        models=("gpt-sim", "text-embedding-sim"),
        headers=(("x-request-id", "{id}"), ("openai-processing-ms", "1")),
        chunk_extras={"service_tier": "default", "system_fingerprint": None},
        null_usage=True,
        unauthorized=ErrorRow(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_found"),
        broken=ErrorRow(500, "The server had an error while processing your request.", "server_error", "server_error"),
    ),
    ANTHROPIC,
    *CLOUDS,
    *GATEWAYS,
    *ENGINES,
)

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({row.name: row for row in _ROWS})
