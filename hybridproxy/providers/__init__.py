"""The providers, by the word used for them in the configuration. A new one: a file with its row, and a line here."""

from collections.abc import Mapping

from hybridproxy.providers.dashscope import DASHSCOPE
from hybridproxy.providers.openai import OPENAI
from hybridproxy.providers.openrouter import OPENROUTER
from hybridproxy.providers.provider import Provider
from hybridproxy.providers.sglang import SGLANG
from hybridproxy.providers.tensorrt import TENSORRT_LLM
from hybridproxy.providers.together import TOGETHER
from hybridproxy.providers.vllm import VLLM

PROVIDERS: Mapping[str, Provider] = {
    row.name: row for row in (DASHSCOPE, TOGETHER, OPENROUTER, VLLM, SGLANG, TENSORRT_LLM, OPENAI)
}
