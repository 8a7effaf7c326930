"""The providers, by the word used for them in the configuration. A new one: a file with its row, and a line here."""

from collections.abc import Mapping

from hybridproxy.providers.anthropic import ANTHROPIC
from hybridproxy.providers.bedrock import BEDROCK
from hybridproxy.providers.cerebras import CEREBRAS
from hybridproxy.providers.dashscope import DASHSCOPE, DASHSCOPE_NATIVE
from hybridproxy.providers.deepinfra import DEEPINFRA
from hybridproxy.providers.deepseek import DEEPSEEK
from hybridproxy.providers.fireworks import FIREWORKS
from hybridproxy.providers.gemini import GEMINI
from hybridproxy.providers.groq import GROQ
from hybridproxy.providers.litellm import LITELLM
from hybridproxy.providers.llama_cpp import LLAMA_CPP
from hybridproxy.providers.novita import NOVITA
from hybridproxy.providers.openai import OPENAI
from hybridproxy.providers.openrouter import OPENROUTER
from hybridproxy.providers.portkey import PORTKEY
from hybridproxy.providers.provider import Provider
from hybridproxy.providers.sglang import SGLANG
from hybridproxy.providers.tensorrt import TENSORRT_LLM
from hybridproxy.providers.together import TOGETHER
from hybridproxy.providers.tokenmix import TOKENMIX
from hybridproxy.providers.vllm import VLLM

PROVIDERS: Mapping[str, Provider] = {
    row.name: row
    for row in (
        # Alibaba's own
        DASHSCOPE,
        DASHSCOPE_NATIVE,
        # who hosts open models
        TOGETHER,
        FIREWORKS,
        DEEPINFRA,
        GROQ,
        CEREBRAS,
        NOVITA,
        BEDROCK,
        # who makes models
        ANTHROPIC,
        DEEPSEEK,
        GEMINI,
        # who passes calls on
        OPENROUTER,
        TOKENMIX,
        PORTKEY,
        LITELLM,
        # engines, and whatever speaks as they do
        VLLM,
        SGLANG,
        TENSORRT_LLM,
        LLAMA_CPP,
        OPENAI,
    )
}
