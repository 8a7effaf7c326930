"""Any server that speaks OpenAI's API; the operator gives its `base_url` as an SDK would take it, with `/v1`."""

from hybridproxy.providers.provider import Provider

OPENAI = Provider(name="openai")
