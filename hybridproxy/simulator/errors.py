"""Errors the providers really send, by name, for the fault {"kind": "named", "name": "provider.error"}."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hybridproxy.simulator.errors_more import MORE
from hybridproxy.simulator.rows import PROVIDERS, ErrorRow, Place, Provider

_DASHSCOPE = {
    "invalid_parameter": ErrorRow(400, "Range of max_tokens should be [1, 65536]", code="InvalidParameter"),
    "data_inspection_failed": ErrorRow(
        400, "Input data may contain inappropriate content.", code="data_inspection_failed"
    ),
    "data_inspection_framed": ErrorRow(
        400, "Input data may contain inappropriate content.", code="data_inspection_failed", place=Place.FRAMED
    ),
    "output_inspection": ErrorRow(
        400, "Output data may contain inappropriate content.", code="data_inspection_failed", place=Place.FIRST_EVENT
    ),
    "arrearage": ErrorRow(400, "Access denied, please make sure your account is in good standing.", code="Arrearage"),
    "invalid_api_key": ErrorRow(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "not_authorized": ErrorRow(401, "The key does not belong to this workspace or endpoint.", code="NOT AUTHORIZED"),
    "access_denied": ErrorRow(403, "Access denied.", code="AccessDenied"),
    "model_access_denied": ErrorRow(403, "Model access denied.", code="Model.AccessDenied"),
    "free_tier_only": ErrorRow(
        403, "The free tier of the model has been exhausted.", code="AllocationQuota.FreeTierOnly"
    ),
    "model_not_found": ErrorRow(404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "too_large": ErrorRow(413, "The request body is too large.", code="RequestEntityTooLarge"),
    "throttling": ErrorRow(429, "Requests throttling triggered.", code="Throttling"),
    "limit_requests": ErrorRow(429, "You exceeded your current requests list.", code="limit_requests"),
    "limit_burst_rate": ErrorRow(429, "Request rate increased too quickly.", code="limit_burst_rate"),
    "insufficient_quota": ErrorRow(429, "Allocated quota exceeded, please try again later.", code="insufficient_quota"),
    "free_quota_exceeded": ErrorRow(429, "Free allocated quota exceeded.", code="insufficient_quota"),
    "throttling_concurrency": ErrorRow(429, "Too many concurrent requests.", code="Throttling.Concurrency"),
    "commodity_not_purchased": ErrorRow(429, "Commodity has not been purchased yet.", code="CommodityNotPurchased"),
    "prepaid_bill_overdue": ErrorRow(429, "The prepaid bill is overdue.", code="PrepaidBillOverdue"),
    "postpaid_bill_overdue": ErrorRow(429, "The postpaid bill is overdue.", code="PostpaidBillOverdue"),
    "internal_error": ErrorRow(500, "An internal error has occurred.", code="InternalError"),
    "algo_client_fault": ErrorRow(500, "list index out of range", code="InternalError.Algo"),
    "system_error": ErrorRow(500, "A system error has occurred.", code="SystemError"),
    "request_timeout": ErrorRow(500, "Request timed out, please try again later.", code="RequestTimeOut"),
    "model_serving_error": ErrorRow(
        503,
        "Too many requests. Your requests are being throttled due to system capacity limits.",
        code="ModelServingError",
    ),
    "model_unavailable": ErrorRow(503, "Model is unavailable, please try again later.", code="ModelUnavailable"),
}

_TOGETHER = {
    "invalid_api_key": ErrorRow(401, "Invalid API key provided.", "invalid_request_error", "invalid_api_key"),
    "payment_required": ErrorRow(402, "The account has reached its spending limit.", "credit_limit"),
    "context_length": ErrorRow(
        403, "Input tokens plus max_tokens exceed the model's context length.", "invalid_request_error"
    ),
    "model_not_found": ErrorRow(404, "Unable to access the model.", "invalid_request_error", "model_not_available"),
    "rate_limit": ErrorRow(429, "You are above your dynamic rate limit.", "rate_limit", "rate_limit_exceeded"),
    "server_error": ErrorRow(500, "Internal server error.", "server_error"),
    "overloaded": ErrorRow(503, "The model is overloaded at the moment.", "service_unavailable"),
}

_CONSTRAINED = {
    "availability": {
        "code": "constraint_filtered",
        "retryable": False,
        "excluded_by": ["data_region", "data_policy:zdr"],
        "requested_models": ["qwen/qwen3-235b-a22b-2507"],
    }
}

_OPENROUTER = {
    "context_length": ErrorRow(
        400, "This endpoint's maximum context length is 262144 tokens.", "context_length_exceeded"
    ),
    "authentication": ErrorRow(401, "User not found.", "authentication"),
    "payment_required": ErrorRow(402, "Insufficient credits.", "payment_required"),
    "permission_denied": ErrorRow(403, "The key is not allowed to use this model.", "permission_denied"),
    "moderation": ErrorRow(
        403,
        "Your input was flagged.",
        "content_policy_violation",
        more={"metadata": {"reasons": ["violence"], "provider_name": "Simulated"}},
    ),
    "constraint_filtered": ErrorRow(404, "No endpoints match the given constraints.", "not_found", more=_CONSTRAINED),
    "no_endpoints": ErrorRow(
        404,
        "No endpoints found for this model.",
        "not_found",
        more={"availability": {"code": "no_endpoints", "retryable": False}},
    ),
    "timeout": ErrorRow(408, "The request timed out.", "timeout"),
    "rate_limit": ErrorRow(
        429,
        "Provider returned error",
        "rate_limit_exceeded",
        headers=(("retry-after", "7"),),
        more={"metadata": {"provider_code": 429}, "availability": {"retryable": True, "retry_after": 7}},
    ),
    "platform_rate_limit": ErrorRow(
        429,
        "Rate limit exceeded: requests per minute.",
        "rate_limit_exceeded",
        headers=(("x-ratelimit-limit", "20"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1790000000000")),
    ),
    "provider_unavailable": ErrorRow(502, "Provider returned error", "provider_unavailable"),
    "no_provider": ErrorRow(503, "No available provider meets your routing requirements.", "provider_overloaded"),
    "error_in_200": ErrorRow(502, "Provider returned error", "provider_unavailable", place=Place.BODY),
    "choice_error": ErrorRow(502, "Provider returned error", "provider_unavailable", place=Place.CHOICE),
    "first_event": ErrorRow(429, "Provider returned error", "rate_limit_exceeded", place=Place.FIRST_EVENT),
    "first_event_string_code": ErrorRow(
        502, "Provider disconnected unexpectedly", code="server_error", place=Place.FIRST_EVENT
    ),
}

_VLLM = {
    "context_length": ErrorRow(400, "This model's maximum context length is 32768 tokens.", "BadRequestError"),
    "unauthorized": ErrorRow(401, "Unauthorized", bare={"error": "Unauthorized"}),
    "model_not_found": ErrorRow(404, "The model does not exist.", "NotFoundError"),
    "unprocessable": ErrorRow(422, "The media URL cannot be reached.", "UnprocessableEntityError"),
    "engine_dead": ErrorRow(500, "EngineCore encountered an issue.", "InternalServerError"),
    "queue_full": ErrorRow(503, "The server's queue is full.", "Service Unavailable"),
    "retryable": ErrorRow(503, "The request can be tried again.", "ServiceUnavailableError"),
    "queue_full_in_stream": ErrorRow(
        503, "The server's queue is full.", "Service Unavailable", place=Place.FIRST_EVENT
    ),
}

_SGLANG = {
    "queue_full": ErrorRow(503, "The request queue is full.", "ServiceUnavailable", place=Place.FIRST_EVENT),
    "draining": ErrorRow(503, "The server is shutting down.", "ServiceUnavailable"),
}

_TENSORRT_LLM = {
    "validation": ErrorRow(400, "validation", bare={"error": "1 validation error for ChatCompletionRequest"}),
    "failure": ErrorRow(400, "CUDA error", "BadRequestError"),
}

_OPENAI = {
    "context_length": ErrorRow(400, "The context is too long.", "invalid_request_error", "context_length_exceeded"),
    "invalid_api_key": ErrorRow(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "model_not_found": ErrorRow(404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "rate_limit": ErrorRow(
        429,
        "Rate limit reached.",
        "requests",
        "rate_limit_exceeded",
        headers=(("retry-after", "2"), ("retry-after-ms", "1500")),
    ),
    "insufficient_quota": ErrorRow(
        429, "You exceeded your current quota, please check your plan.", "insufficient_quota", "insufficient_quota"
    ),
    "server_error": ErrorRow(500, "The server had an error.", "server_error", "server_error"),
    "overloaded": ErrorRow(503, "The engine is overloaded.", "server_error", "service_unavailable"),
}

_TABLES = {
    "dashscope": _DASHSCOPE,
    "together": _TOGETHER,
    "openrouter": _OPENROUTER,
    "vllm": _VLLM,
    "sglang": _SGLANG,
    "tensorrt-llm": _TENSORRT_LLM,
    "openai": _OPENAI,
    **MORE,
}

ERRORS: Final[Mapping[str, tuple[Provider, ErrorRow]]] = MappingProxyType(
    {
        f"{provider}.{name}": (PROVIDERS[provider], row)
        for provider, table in _TABLES.items()
        for name, row in table.items()
    }
)
"""Every named error with the provider whose shape it has."""
