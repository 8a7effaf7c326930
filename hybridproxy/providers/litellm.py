"""LiteLLM's proxy, which somebody runs: the sources of 1.109.1.

Budgets of keys, users and teams: 422 (in older versions 429, or 400) with the type `budget_exceeded`. Codes are
statuses written as texts. An error inside a stream is followed by `[DONE]`. A field that the model behind it does not
take is a 400, `UnsupportedParamsError`, unless it was started with `drop_params`. 429 also comes of its own router,
when all that it has is cooling down.

It passes calls on: wherever it runs, it is no place where they are worked on.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.provider import Provider, Wire

LITELLM = Provider(
    name="litellm",
    marks=frozenset({"cache_control", "thinking_blocks"}),
    reasons_too="reasoning",
    root="/v1",
    wires={Dialect.RESPONSES: Wire({Operation.CHAT: "/responses"}, root="/v1", instead_of="/v1")},
    passes_on=True,
    cost_header="x-litellm-response-cost",
    lists=Lists(),
    faults=(
        FaultRule(FaultKind.QUOTA, code=("budget_exceeded",)),
        FaultRule(FaultKind.QUOTA, status=(400, 429), says=("budget has been exceeded", "exceededbudget")),
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("contextwindowexceeded",)),
        FaultRule(FaultKind.NOT_FOUND, status=400, says=("invalid model name",)),
        FaultRule(FaultKind.OVERLOADED, status=429, says=("no deployments available",)),
        *OPENAI_FAULTS,
    ),
)
