"""The Python clients."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import openai
import orjson
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.sdk.outcome import QUESTION, TOOLS, Client, Outcome, Way

OPENAI_TOOLS: Final[Any] = [
    {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in TOOLS.items()
]
TLS: Final = ssl.create_default_context()
"""Not needed for these addresses, but every client would make one, which takes longer than a call."""
MESSAGES: Final[Any] = [{"role": "user", "content": QUESTION}]


async def outcome(call: Callable[[Outcome], Awaitable[None]], errors: type[Exception]) -> Outcome:
    """Let a call fill in what it hears, until it is over or raises."""
    heard = Outcome()
    try:
        await call(heard)
    except errors as error:
        return Outcome(raised=type(error).__name__)
    return heard


class OpenAIClient:
    """The package `openai`."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask for a chat completion."""
        more: dict[str, Any] = {"tools": OPENAI_TOOLS} if tools else {}

        async def whole(heard: Outcome) -> None:
            answer = await client.chat.completions.create(model=way.model, messages=MESSAGES, **more)
            (choice,) = answer.choices
            assert answer.usage is not None
            heard.text, heard.finish = choice.message.content or "", choice.finish_reason
            heard.tokens = answer.usage.prompt_tokens, answer.usage.completion_tokens
            for call in choice.message.tool_calls or ():
                assert call.type == "function"
                heard.calls.append((call.function.name, orjson.loads(call.function.arguments)))

        async def streamed(heard: Outcome) -> None:
            options: Any = {"include_usage": True}
            parts: dict[int, tuple[str, str]] = {}
            answer = await client.chat.completions.create(
                model=way.model, messages=MESSAGES, stream=True, stream_options=options, **more
            )
            async for chunk in answer:
                if chunk.usage is not None:
                    heard.tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
                for choice in chunk.choices:
                    heard.text += choice.delta.content or ""
                    heard.finish = choice.finish_reason or heard.finish
                    for call in choice.delta.tool_calls or ():
                        name, arguments = parts.get(call.index, ("", ""))
                        assert call.function is not None
                        parts[call.index] = (
                            name or call.function.name or "",
                            arguments + (call.function.arguments or ""),
                        )
            heard.calls = [(name, orjson.loads(arguments)) for name, arguments in parts.values()]

        http = openai.DefaultAsyncHttpxClient(verify=TLS)
        async with openai.AsyncOpenAI(api_key=way.key, base_url=way.url, max_retries=0, http_client=http) as client:
            return await outcome(streamed if stream else whole, openai.OpenAIError)


class LangChainClient:
    """The package `langchain-openai`."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask a chat model of LangChain."""
        http = openai.DefaultAsyncHttpxClient(verify=TLS)
        options: dict[str, Any] = {"model": way.model, "base_url": way.url, "max_retries": 0, "stream_usage": True}
        model = ChatOpenAI(**options, openai_api_key=SecretStr(way.key), http_async_client=http)
        asked: Any = model.bind_tools(OPENAI_TOOLS) if tools else model

        async def say(heard: Outcome) -> None:
            if stream:
                parts = [part async for part in asked.astream(QUESTION)]
                answer = parts[0]
                for part in parts[1:]:
                    answer += part
            else:
                answer = await asked.ainvoke(QUESTION)
            heard.text = answer.content
            heard.finish = answer.response_metadata["finish_reason"]
            heard.calls = [(call["name"], call["args"]) for call in answer.tool_calls]
            heard.tokens = answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]

        try:
            return await outcome(say, openai.OpenAIError)
        finally:
            await http.aclose()


CLIENTS: Final[dict[str, Client]] = {"openai": OpenAIClient(), "langchain-openai": LangChainClient()}
