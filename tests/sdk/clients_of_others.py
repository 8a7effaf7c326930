"""The Python clients of other dialects than OpenAI's chat completions; ends are told in OpenAI's words."""

from typing import Any, Final

import aiohttp
import anthropic
import openai
import orjson
from dashscope.aigc.generation import AioGeneration

from tests.sdk.clients import MESSAGES, OPENAI_TOOLS, TLS, outcome
from tests.sdk.outcome import QUESTION, TOOLS, Client, Outcome, Way

ANTHROPIC_ENDS: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


class AnthropicClient:
    """The package `anthropic`."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask for a message."""
        asked: dict[str, Any] = {"model": way.model, "max_tokens": 1000, "messages": MESSAGES}
        if tools:
            asked["tools"] = [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()]

        async def say(heard: Outcome) -> None:
            if stream:
                async with client.messages.stream(**asked) as told:
                    async for event in told:
                        heard.text += event.text if event.type == "text" else ""
                    answer: Any = await told.get_final_message()
            else:
                answer = await client.messages.create(**asked)
                heard.text = "".join(block.text for block in answer.content if block.type == "text")
            heard.calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
            heard.finish = ANTHROPIC_ENDS.get(answer.stop_reason, answer.stop_reason)
            # what a cache held is counted apart in this dialect
            cached = (answer.usage.cache_read_input_tokens or 0) + (answer.usage.cache_creation_input_tokens or 0)
            heard.tokens = answer.usage.input_tokens + cached, answer.usage.output_tokens

        http = anthropic.DefaultAsyncHttpxClient(verify=TLS)
        async with anthropic.AsyncAnthropic(
            api_key=way.key, base_url=way.url, max_retries=0, http_client=http
        ) as client:
            return await outcome(say, anthropic.AnthropicError)


class ResponsesClient:
    """The package `openai`, its Responses API."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask for a response that is stored nowhere."""
        asked: dict[str, Any] = {"model": way.model, "input": QUESTION, "store": False}
        if tools:
            asked["tools"] = [
                {"type": "function", "name": name, "parameters": schema, "strict": False}
                for name, schema in TOOLS.items()
            ]

        async def say(heard: Outcome) -> None:
            if stream:
                async with client.responses.stream(**asked) as told:
                    async for event in told:
                        heard.text += event.delta if event.type == "response.output_text.delta" else ""
                    answer: Any = await told.get_final_response()
            else:
                answer = await client.responses.create(**asked)
                heard.text = answer.output_text
            calls = [item for item in answer.output if item.type == "function_call"]
            heard.calls = [(call.name, orjson.loads(call.arguments)) for call in calls]
            heard.finish = "tool_calls" if calls else "stop" if answer.status == "completed" else answer.status
            heard.tokens = answer.usage.input_tokens, answer.usage.output_tokens

        http = openai.DefaultAsyncHttpxClient(verify=TLS)
        async with openai.AsyncOpenAI(api_key=way.key, base_url=way.url, max_retries=0, http_client=http) as client:
            return await outcome(say, openai.OpenAIError)


class DashScopeClient:
    """The package `dashscope`, which raises nothing: what went wrong are fields of its answer."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask for the generation of text."""
        asked: dict[str, Any] = {"tools": OPENAI_TOOLS, "parallel_tool_calls": True} if tools else {}
        async with aiohttp.ClientSession() as session:
            answer: Any = await AioGeneration.call(
                way.model, messages=MESSAGES, api_key=way.key, base_address=way.url, result_format="message",
                stream=stream, incremental_output=stream, session=session, **asked,
            )  # fmt: skip
            events = [event async for event in answer] if stream else [answer]
        heard = Outcome()
        parts: dict[int, tuple[str, str]] = {}
        for event in events:
            if event.status_code != 200:
                return Outcome(raised=f"{event.status_code} {event.code}")
            (choice,) = event.output.choices
            heard.text += choice.message.content
            heard.finish = choice.finish_reason if choice.finish_reason != "null" else heard.finish
            heard.tokens = event.usage["input_tokens"], event.usage["output_tokens"]
            for call in choice.message.get("tool_calls") or ():
                name, arguments = parts.get(call["index"], ("", ""))
                function = call["function"]
                parts[call["index"]] = name or function.get("name", ""), arguments + function["arguments"]
        heard.calls = [(name, orjson.loads(arguments)) for name, arguments in parts.values()]
        return heard


CLIENTS: Final[dict[str, Client]] = {
    "anthropic": AnthropicClient(),
    "openai responses": ResponsesClient(),
    "dashscope": DashScopeClient(),
}
