"""The model families, by the word used for them in the configuration.

Tokens per character: DeepSeek documents 0.3 for an English and 0.6 for a Chinese character (api-docs.deepseek.com,
token usage); the Qwen tokenizers take about four English characters a token. The lower figures are used where they
differ, since an estimate that is too high would drop a backend that could have served the call.
"""

from collections.abc import Mapping

from hybridproxy.families.family import Family

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("qwen2.5", tokens_per_byte=0.25, tokens_per_cjk=0.6),
        Family("qwen3", tokens_per_byte=0.25, tokens_per_cjk=0.6),
        Family("deepseek", tokens_per_byte=0.3, tokens_per_cjk=0.6),
        Family("smollm2", tokens_per_byte=0.25, tokens_per_cjk=1.0),
        Family("other", tokens_per_byte=0.25, tokens_per_cjk=0.6),
    )
}
