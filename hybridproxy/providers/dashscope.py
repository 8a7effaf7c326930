"""Alibaba Model Studio (DashScope), its OpenAI-compatible mode, which offers chat and embeddings.

Hosts: alibabacloud.com/help/model-studio/base-url (2026-10). Where a site's host is not the same for every account the
operator has to give `base_url`; in particular the US host is never guessed, since sources disagree on where it leads.
Codes: docs.qwencloud.com error-messages (mid-2026), in the native and the compatible spelling. `insufficient_quota` is
a throttle on tokens per minute here, the opposite of OpenAI's meaning; three billing codes come with a 429 and do not
pass by waiting. `InternalError.Algo` also covers mistakes of the client, told apart by its words.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.provider import OPENAI_PATHS, Provider

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
    paths={operation: OPENAI_PATHS[operation] for operation in (Operation.CHAT, Operation.EMBEDDING)},
    max_choices=4,
    faults=(
        FaultRule(FaultKind.CONTENT_REFUSED, code=("datainspectionfailed", "data_inspection_failed")),
        FaultRule(
            FaultKind.QUOTA, code=("arrearage", "commoditynotpurchased", "prepaidbilloverdue", "postpaidbilloverdue")
        ),
        FaultRule(FaultKind.QUOTA, code=("allocationquota.freetieronly",)),
        # one code for the throttle on tokens and for a free quota that is used up for good; the words tell them apart
        FaultRule(
            FaultKind.QUOTA,
            code=("throttling.allocationquota", "insufficient_quota"),
            says=("free allocated quota exceeded",),
        ),
        FaultRule(FaultKind.THROTTLED, code=("throttling", "limitrequests", "limit_requests", "limit_burst_rate")),
        FaultRule(FaultKind.THROTTLED, code=("insufficient_quota",)),
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
