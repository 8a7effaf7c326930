"""TokenMix: tokenmix.ai/docs/billing and its terms (2026-03); little is documented beyond its address.

It passes calls on to others, of whom it names none, and has no way to choose among them. It documents the statuses 400,
401, 402, 429 and 500 and no form of their bodies.
"""

from hybridproxy.providers.lists import Lists
from hybridproxy.providers.provider import Provider

TOKENMIX = Provider(name="tokenmix", sites={"": "https://api.tokenmix.ai/v1"}, lists=Lists(), reasons_too="reasoning")
