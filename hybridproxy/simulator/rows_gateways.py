"""Who passes calls on, beside OpenRouter."""

from hybridproxy.simulator.row import (
    CALLS,
    RESPONSES,
    ErrorRow,
    Provider,
    numbered_shape,
    openai_shape,
)

GATEWAYS = (
    Provider(
        name="tokenmix",
        prefix="/v1",
        shape=openai_shape,
        models=("qwen3-max", "qwen3.7-plus"),
        unauthorized=ErrorRow(401, "Invalid API key", "invalid_request_error", "invalid_api_key"),
        not_found=ErrorRow(404, "{message}", "invalid_request_error", "model_not_found"),
    ),
    Provider(
        name="portkey",
        prefix="/v1",
        shape=openai_shape,
        models=("@dashscope-us/qwen3-max",),
        headers=(
            ("x-portkey-trace-id", "{id}"),
            ("x-portkey-last-used-option-index", "config.targets[0]"),
            ("x-portkey-retry-attempt-count", "0"),
        ),
        key_header="x-portkey-api-key",
        chunk_extras={"provider": "dashscope"},
        unauthorized=ErrorRow(
            401,
            "Portkey Error: Invalid API Key. Error Code: 03",
            bare={"status": "failure", "message": "Portkey Error: Invalid API Key. Error Code: 03"},
        ),
    ),
    Provider(
        name="litellm",
        calls=CALLS | RESPONSES,
        prefix="/v1",
        shape=numbered_shape,
        models=("qwen3",),
        headers=(("x-litellm-call-id", "{id}"), ("x-litellm-model-group", "qwen3")),
        done_after_error=True,
        unauthorized=ErrorRow(401, "Authentication Error, Invalid proxy server token passed.", "auth_error"),
        broken=ErrorRow(503, "litellm.ServiceUnavailableError: overloaded", None),
    ),
)
