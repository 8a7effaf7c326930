"""Any server that speaks OpenAI's API; the operator gives its `base_url` as an SDK would take it, with `/v1`."""

from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.auth import Auth
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.provider import RESPONSES_WIRE, Provider
from hybridproxy.providers.quotas import OPENAI_QUOTAS

OPENAI = Provider(
    name="openai",
    quotas=OPENAI_QUOTAS,
    wires={Dialect.RESPONSES: RESPONSES_WIRE},
    lists=Lists(),
    auth=Auth(takes=frozenset({"openai-organization", "openai-project"})),
)
