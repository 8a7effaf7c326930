"""Alibaba Model Studio (DashScope): its OpenAI-compatible mode, which offers chat and embeddings, and its own protocol.

`dashscope` is asked in the first, and in the second where the caller speaks it, whose call and answer then pass as they
are. `dashscope-native` is asked in the second by all. Fields that are not listed for a chat are overlooked in silence,
so they are not sent; both modes call one tool at a time unless `parallel_tool_calls` is sent, the opposite of OpenAI's
default.

Hosts: alibabacloud.com/help/model-studio/base-url (2026-10). Where a site's host is not the same for every account the
operator has to give `base_url`; in particular the US host is never guessed, since sources disagree on where it leads.
Codes: docs.qwencloud.com error-messages (mid-2026), in the native and the compatible spelling. `insufficient_quota` is
a throttle on tokens per minute here, the opposite of OpenAI's meaning; three billing codes come with a 429 and do not
pass by waiting. `InternalError.Algo` also covers mistakes of the client, told apart by its words.
List of models: Model Studio's page "List models" (2026-10-12), 20 a page unless more are asked for.
Continuation: "partial mode" (Model Studio's page of that name, 2026-10), the same flag in the compatible mode. Its
replies have the new text only. It works without thinking alone, and not for every model at every site: the page of
qwen-turbo has it for Singapore and not for Beijing.
"""

from dataclasses import replace

from hybridproxy.families.dashscope import say_bound
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.auth import Auth
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import BIAS, CORE, FUNCTIONS, SEARCH, SOUND
from hybridproxy.providers.provider import OPENAI_PATHS, RESPONSES_WIRE, Body, Continues, Provider, Wire
from hybridproxy.providers.thinks import Thinks, same

_COMPATIBLE, _NATIVE = "/compatible-mode/v1", "/api/v1"
_PATHS = {
    Operation.CHAT: "/services/aigc/{variant}/generation",
    Operation.EMBEDDING: "/services/embeddings/text-embedding/text-embedding",
}

REGIONS = {
    "singapore": "ap-southeast-1",
    "beijing": "cn-beijing",
    "hongkong": "cn-hongkong",
    "virginia": "us-east-1",
    "frankfurt": "eu-central-1",
    "tokyo": "ap-northeast-1",
}
"""Site -> Alibaba's name of its region."""

TRIAL = "trial"
"""The workspace for trying out: every key of its region is good for it, for 1000 requests a minute."""

TRIAL_SITES = frozenset({"singapore", "beijing", "hongkong"})


PARAMETERS = frozenset(
    {
        "temperature", "top_p", "top_k", "repetition_penalty", "presence_penalty", "seed", "stop", "n",
        "max_tokens", "max_completion_tokens", "enable_thinking", "thinking_budget", "preserve_thinking",
        "reasoning_effort", "tools", "tool_choice", "parallel_tool_calls", "tool_stream", "response_format",
        "logprobs", "top_logprobs", "enable_search", "search_options", "enable_code_interpreter",
    }
)  # fmt: skip
"""Of a chat in its own protocol; the compatible mode has them too."""


def _prepare(body: Body, pins: tuple[str, ...]) -> None:  # noqa: ARG001 - the signature of every row's function
    """Bound the answer as the model knows it, and let it call several tools at once unless the caller forbids that."""
    say_bound(body, body["model"])
    if body.get("tools") and body.get("parallel_tool_calls") is None:
        body["parallel_tool_calls"] = True


DASHSCOPE = Provider(
    name="dashscope",
    prepare=_prepare,
    marks=frozenset({"cache_control"}),
    sites={
        "singapore": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "beijing": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
        "virginia": "",
        "frankfurt": "",
        "tokyo": "",
    },
    workspaces={
        site: f"https://{{workspace}}.{region}.maas.aliyuncs.com/compatible-mode/v1" for site, region in REGIONS.items()
    },
    places={
        "singapore": "SG",
        "beijing": "CN",
        "hongkong": "HK",
        "virginia": "US",
        "frankfurt": "DE",
        "tokyo": "JP",
    },
    paths={operation: OPENAI_PATHS[operation] for operation in (Operation.CHAT, Operation.EMBEDDING)},
    wires={
        Dialect.RESPONSES: RESPONSES_WIRE,
        Dialect.DASHSCOPE: Wire(_PATHS, root=_NATIVE, instead_of=_COMPATIBLE),
        Dialect.ANTHROPIC: Wire(
            {Operation.CHAT: "/v1/messages"}, root="/apps/anthropic", instead_of="/compatible-mode/v1"
        ),
    },
    max_choices=4,
    accepts=CORE
    | PARAMETERS
    | {"asr_options", "audio", "modalities", "ocr_options", "stream_options", "translation_options"}
    | {"vl_high_resolution_images"},
    refuses={"logit_bias": BIAS, **FUNCTIONS, **SEARCH},
    finishes={"null": None},
    auth=Auth(takes=frozenset({"x-dashscope-workspace", "x-dashscope-datainspection"})),
    thinks=Thinks(
        own=frozenset({"enable_thinking", "thinking_budget"}),
        on={"enable_thinking": True},
        off={"enable_thinking": False},
        budget="thinking_budget",
        with_budget={"enable_thinking": True},
        effort="reasoning_effort",
        efforts=same("low", "medium", "high", "xhigh", "max"),
        with_effort={"enable_thinking": True},
        either=True,
    ),
    continuation=Continues(message={"partial": True}, body={"enable_thinking": False}),
    # its prices name no currency, which is another at each site, and have tiers of which only words tell the bounds
    lists=Lists(
        path="/models?page_size=100",
        dialect=Dialect.DASHSCOPE,
        page="page_no",
        total="output.total",
        entries="output.models",
        id="model",
        context="model_info.context_window",
    ),
    faults=(
        FaultRule(FaultKind.CONTENT_REFUSED, code=("datainspectionfailed", "data_inspection_failed")),
        FaultRule(
            FaultKind.QUOTA, code=("arrearage", "commoditynotpurchased", "prepaidbilloverdue", "postpaidbilloverdue")
        ),
        # the free quota is a model's own: the key is good for the others
        FaultRule(FaultKind.FORBIDDEN, code=("allocationquota.freetieronly",)),
        # one code for the throttle on tokens and for a free quota that is used up for good; the words tell them apart
        FaultRule(
            FaultKind.FORBIDDEN,
            code=("throttling.allocationquota", "insufficient_quota"),
            says=("free allocated quota exceeded",),
        ),
        # No Retry-After was ever seen from it; limits are said to "reset within one minute". So a target is asked again
        # some times within that minute, sooner where only the ramp was too steep.
        FaultRule(FaultKind.THROTTLED, code=("throttling.burstrate", "limit_burst_rate"), cool_off=2.0),
        FaultRule(FaultKind.THROTTLED, code=("throttling.allocationquota", "insufficient_quota"), cool_off=10.0),
        FaultRule(FaultKind.THROTTLED, code=("throttling", "limitrequests", "limit_requests"), cool_off=5.0),
        FaultRule(FaultKind.CREDENTIAL, code=("invalidapikey", "invalid_api_key", "not authorized")),
        FaultRule(FaultKind.FORBIDDEN, code=("accessdenied", "model.accessdenied", "workspace.accessdenied")),
        FaultRule(
            FaultKind.NOT_FOUND, code=("modelnotfound", "model_not_found", "model_not_supported", "workspacenotfound")
        ),
        FaultRule(FaultKind.OVERLOADED, code=("modelservingerror", "modelunavailable")),
        # an answer that does not stream is cut off after 300 s; a second try would take as long
        FaultRule(FaultKind.TIMEOUT_ANSWER, code=("requesttimeout", "request_timeout")),
        FaultRule(
            FaultKind.CONTEXT_TOO_LONG,
            code=("invalidparameter", "invalid_parameter", "internalerror.algo.invalidparameter", "badrequest"),
            says=("range of input length", "input is too long"),
        ),
        FaultRule(
            FaultKind.INVALID_REQUEST,
            code=(
                "invalidparameter",
                "invalid_parameter",
                "invalidurl",
                "badrequest",
                "internalerror.algo.invalidparameter",
            ),
        ),
        FaultRule(
            FaultKind.INVALID_REQUEST,
            code=("internalerror.algo", "internal_error"),
            says=("list index out of range", "role must be in", "tool_call", "is not valid json"),
        ),
        *OPENAI_FAULTS,
    ),
)

DASHSCOPE_NATIVE = replace(
    DASHSCOPE,
    name="dashscope-native",
    sites={site: url.replace(_COMPATIBLE, _NATIVE) for site, url in DASHSCOPE.sites.items()},
    workspaces={site: url.replace(_COMPATIBLE, _NATIVE) for site, url in DASHSCOPE.workspaces.items()},
    paths={},
    wires={Dialect.DASHSCOPE: Wire(_PATHS)},
    asks_for_usage=False,
    accepts=None,
    drops=frozenset({"stream_options"}),
    refuses={"logit_bias": BIAS, **FUNCTIONS, **SOUND, **SEARCH},
    running_usage=True,
    finishes={},
)
