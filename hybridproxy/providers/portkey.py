"""Portkey's hosted gateways: the docs of Portkey (2026-08) and of Prisma AIRS AI Gateway (2026-09).

The classic one takes its key in `x-portkey-api-key`; the other (`site: airs`) takes it as Bearer and wants models
called `@PROVIDER/MODEL`. What a call goes through stands in a config, saved there and named (or written out as JSON)
in `x-portkey-config`, or attached to the key: the operator's alone, so it comes from `headers` of the backend.

Statuses of its own: 246, an answer that a guardrail found fault with and let pass; 446, one that it kept; 412, the
budget is spent. Everything else is what the provider behind it said. Fields are translated for that provider, or left
out without a word; which ones is not documented. Reasoning is left out unless `x-portkey-strict-open-ai-compliance` is
`false`.
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.auth import Auth
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.provider import Provider

_TAKES = frozenset(
    {
        "x-portkey-cache-namespace", "x-portkey-config", "x-portkey-metadata", "x-portkey-provider",
        "x-portkey-request-timeout", "x-portkey-strict-open-ai-compliance", "x-portkey-virtual-key",
    }
)  # fmt: skip

PORTKEY = Provider(
    name="portkey",
    marks=frozenset({"cache_control"}),
    reasons_too="reasoning",
    sites={"": "https://api.portkey.ai/v1", "airs": "https://aigw.portkey.ai/v1"},
    auth=Auth(header="x-portkey-api-key", prefix="", takes=_TAKES),
    auth_at={"airs": Auth(takes=_TAKES)},
    succeeds=frozenset({200, 246}),
    lists=Lists(),
    faults=(FaultRule(FaultKind.CONTENT_REFUSED, status=446), *OPENAI_FAULTS),
)
