"""Named errors of hosts and gateways, as those of `errors`."""

from collections.abc import Mapping
from typing import Final

from hybridproxy.simulator.row import ErrorRow

MORE: Final[Mapping[str, Mapping[str, ErrorRow]]] = {
    "anthropic": {
        "overloaded": ErrorRow(529, "Overloaded"),
        "rate_limit": ErrorRow(
            429, "This request would exceed your organization's rate limit", headers=(("retry-after", "7"),)
        ),
        "context_length": ErrorRow(400, "prompt is too long: 210000 tokens > 200000 maximum"),
        "credit": ErrorRow(400, "Your credit balance is too low to access the Anthropic API."),
        "too_large": ErrorRow(413, "Request exceeds the maximum allowed number of bytes."),
        "timeout": ErrorRow(504, "The request timed out while processing."),
        "server_error": ErrorRow(500, "Internal server error"),
    },
    "fireworks": {
        "suspended": ErrorRow(412, "Account is suspended", "error", "PRECONDITION_FAILED"),
        "scaling_up": ErrorRow(503, "Deployment is currently scaled to zero.", "error", "DEPLOYMENT_SCALING_UP"),
        "overloaded": ErrorRow(503, "Service overloaded, please try again later", "error", "OVERLOADED"),
    },
    "deepinfra": {
        "busy": ErrorRow(429, "Model busy", bare={"detail": {"error": "Model busy, retry later"}}),
    },
    "groq": {
        "rate_limit": ErrorRow(
            429, "Rate limit reached for model", "tokens", "rate_limit_exceeded", headers=(("retry-after", "7"),)
        ),
        "flex_capacity": ErrorRow(498, "Flex tier capacity exceeded", "invalid_request_error", "capacity_exceeded"),
        "unsupported": ErrorRow(400, "property 'logprobs' is unsupported", "invalid_request_error"),
        "tool_use_failed": ErrorRow(400, "Failed to call a function.", "invalid_request_error", "tool_use_failed"),
    },
    "cerebras": {
        "rate_limit": ErrorRow(
            429, "Requests per minute limit exceeded", "too_many_requests_error", "request_quota_exceeded"
        ),
        "queue_exceeded": ErrorRow(
            429, "We're experiencing high traffic right now!", "too_many_requests_error", "queue_exceeded"
        ),
    },
    "novita": {
        "not_enough_balance": ErrorRow(403, "not enough balance", "NOT_ENOUGH_BALANCE"),
        "rate_limit": ErrorRow(429, "rate limit exceeded", "RATE_LIMIT_EXCEEDED"),
    },
    "bedrock": {
        "throttling": ErrorRow(429, "Too many requests", "invalid_request_error", "ThrottlingException"),
        "expired_token": ErrorRow(403, "The security token included in the request is expired", None, "ExpiredToken"),
        "access_denied": ErrorRow(403, "You don't have access to the model.", None, "AccessDeniedException"),
        "model_error": ErrorRow(424, "The request failed due to an error.", None, "ModelErrorException"),
    },
    "deepseek": {
        "insufficient_balance": ErrorRow(402, "Insufficient Balance", "unknown_error", "invalid_request_error"),
        "busy": ErrorRow(503, "Service is too busy", "service_unavailable_error"),
    },
    "gemini": {
        "exhausted": ErrorRow(429, "You exceeded your current quota.", "RESOURCE_EXHAUSTED"),
        "location": ErrorRow(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        "overloaded": ErrorRow(503, "The model is overloaded.", "UNAVAILABLE"),
    },
    "portkey": {
        "guardrail": ErrorRow(446, "The guardrail checks defined in the config failed.", "hooks_failed"),
        "budget": ErrorRow(412, "The budget limit of this key is exhausted", "budget_exhausted"),
        "timeout": ErrorRow(408, "Request exceeded the timeout sent in the request: 5000ms", "timeout_error"),
    },
    "litellm": {
        "budget_exceeded": ErrorRow(422, "Budget has been exceeded! Current cost: 1", "budget_exceeded"),
        "no_deployments": ErrorRow(429, "No deployments available for selected model", None),
        "unsupported_params": ErrorRow(400, "litellm.UnsupportedParamsError: drop_params", None),
    },
    "tokenmix": {
        "payment_required": ErrorRow(402, "Insufficient balance", "insufficient_balance", "insufficient_balance"),
    },
    "llama-cpp": {
        "loading": ErrorRow(503, "Loading model", "unavailable_error"),
        "context_length": ErrorRow(
            400,
            "request (40000 tokens) exceeds the available context size (32768 tokens), try increasing it",
            "exceed_context_size_error",
        ),
    },
}
