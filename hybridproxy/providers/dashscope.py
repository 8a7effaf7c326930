"""Alibaba Model Studio (DashScope), its OpenAI-compatible mode, which offers chat and embeddings.

Hosts: alibabacloud.com/help/model-studio/base-url (2026-10). Where a site's host is not the same for every account the
operator has to give `base_url`; in particular the US host is never guessed, since sources disagree on where it leads.
Codes: docs.qwencloud.com error-messages (mid-2026), in the native and the compatible spelling. `insufficient_quota` is
a throttle on tokens per minute here, the opposite of OpenAI's meaning; three billing codes come with a 429 and do not
pass by waiting. `InternalError.Algo` also covers mistakes of the client, told apart by its words.
Continuation: "partial mode" (Model Studio's page of that name, 2026-10), the same flag in the compatible mode. Its
replies have the new text only. It works without thinking alone, and not for every model at every site: the page of
qwen-turbo has it for Singapore and not for Beijing.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.provider import OPENAI_PATHS, Continues, Provider

DASHSCOPE = Provider(
    name="dashscope",
    sites={
        "singapore": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "beijing": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
        "virginia": "",
        "frankfurt": "",
        "tokyo": "",
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
    max_choices=4,
    continuation=Continues(message={"partial": True}, body={"enable_thinking": False}),
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
