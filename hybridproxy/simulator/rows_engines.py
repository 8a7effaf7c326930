"""Engines that somebody runs: vLLM, SGLang, TensorRT-LLM, llama.cpp."""

from hybridproxy.simulator.row import (
    COUNT,
    MESSAGES,
    Continues,
    ErrorRow,
    Provider,
    flat_shape,
    vllm_shape,
)
from hybridproxy.simulator.rows_messages import messages_at

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

ENGINES = (
    Provider(
        name="vllm",
        prefix="/v1",
        messages=messages_at("/v1", calls=(MESSAGES, COUNT)),
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
        name="llama-cpp",
        prefix="/v1",
        messages=messages_at("/v1", calls=(MESSAGES, COUNT)),
        shape=vllm_shape,
        models=("qwen3-8b",),
        headers=(("server", "llama.cpp"),),
        model_extras={"owned_by": "llamacpp", "meta": {"n_ctx": 32768, "n_ctx_train": 131072, "vocab_type": 2}},
        open_paths={
            "/health": ("application/json", '{"status":"ok"}'),
            "/v1/health": ("application/json", '{"status":"ok"}'),
        },
        chunk_extras={"system_fingerprint": "b8100-3d2c"},
        continues=Continues.TRAILING,
        unauthorized=ErrorRow(401, "Invalid API Key", "authentication_error"),
        bad_request=ErrorRow(400, "{message}", "invalid_request_error"),
        not_found=ErrorRow(404, "{message}", "not_found_error"),
        broken=ErrorRow(500, "Compute error.", "server_error"),
    ),
)
