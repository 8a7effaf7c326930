"""DeepInfra: docs.deepinfra.com (2026-10), models.dev's list of providers (2026-07).

Usage has the cost in dollars, as `estimated_cost`. Errors come in OpenAI's form, or as FastAPI's `detail`. It sells
models of others, too, of which it does not say where they are computed. Its OpenAPI description (2026-05) has
`max_tokens`, and no `max_completion_tokens`. Continuation: nothing is documented.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import FUNCTIONS, SEARCH
from hybridproxy.providers.provider import Provider, Wire
from hybridproxy.providers.thinks import NO_TEMPLATE, TEMPLATE, TEMPLATE_OWN, Thinks, same

DEEPINFRA = Provider(
    name="deepinfra",
    sites={"": "https://api.deepinfra.com/v1/openai"},
    wires={Dialect.ANTHROPIC: Wire({Operation.CHAT: "/v1/messages"}, root="/anthropic", instead_of="/v1/openai")},
    thinks=Thinks(
        own=frozenset({"reasoning_effort", *TEMPLATE_OWN}),
        on=TEMPLATE,
        off=NO_TEMPLATE,
        effort="reasoning_effort",
        efforts=same("low", "medium", "high"),
    ),
    refuses=FUNCTIONS | SEARCH,
    renames={"max_completion_tokens": "max_tokens"},
    cost="estimated_cost",
    lists=Lists(
        context="metadata.context_length",
        input="metadata.pricing.input_tokens",
        output="metadata.pricing.output_tokens",
        keyless=True,
    ),
)
