"""Prompts, answers and keys do not stand in the text of a value: that is what ends up in tracebacks and debuggers."""

import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import hybridproxy
from hybridproxy.dialects import openai
from hybridproxy.dialects.translator import Asking
from hybridproxy.gateway.pipeline import Arrival, Asked
from hybridproxy.model.backend import Credential
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.transport.upstream import UpstreamRequest

CANARY = "canary-prompt-and-key"
SECRET = {
    "body", "secret", "password", "sentinel_password", "token", "words", "prompt", "messages", "key", "keys", "headers",
    "api_key", "api_keys", "text", "reasoning", "error", "content", "peer", "forwarded", "variables", "used", "url",
    "data", "buffer", "answer", "said", "hidden",
}  # fmt: skip
"""Names that mean content, keys or addresses."""

HARMLESS = {
    "hybridproxy.config.document.Marks.key": "a line and a column",
    "hybridproxy.config.settings.Audit.key": "the path of a file",
    "hybridproxy.gateway.pipeline.Arrival.body": "what reads it",
    "hybridproxy.model.backend.Tls.key": "the path of a file",
    "hybridproxy.model.fault.KindFacts.text": "words of our own",
    "hybridproxy.providers.provider.Continues.body": "fields of our own",
    "hybridproxy.dialects.translator.Translator.answer": "a function",
    "hybridproxy.dialects.translator.Translator.headers": "names of headers",
    "hybridproxy.providers.provider.Provider.reasoning": "the name of a field",
    "hybridproxy.dialects.responses.said.Kind.text": "the name of a field",
    "hybridproxy.providers.lists.Lists.headers": "the same for every call",
    "hybridproxy.providers.provider.Provider.messages": "names of fields",
    "hybridproxy.providers.provider.Wire.headers": "the same for every call",
    "hybridproxy.residency.verify.Part.key": "a public key",
    "hybridproxy.residency.verify._Chain.key": "the same",
    "hybridproxy.routing.cluster.Place.key": "a name under which health is kept",
    "hybridproxy.routing.ways.Way.keys": "names under which health is kept",
    "hybridproxy.stores.memory.Change.key": "the same",
    "hybridproxy.resilience.agreement.Fleet.said": "amounts of a limit",
    "hybridproxy.stores.quotas.Use.key": "the name of a limit",
    "hybridproxy.stores.shares.Held.key": "the same",
    "hybridproxy.stores.audit._Batch.data": "records, which hold no content",
    "hybridproxy.stores.marks.Mark.key": "the same",
    "hybridproxy.stores.rights.Wish.answer": "a number",
}
"""Fields that bear such a name and hold none of it, with what they hold."""


def classes() -> Iterator[type[Any]]:
    """Give every dataclass of the proxy: values, settings and parts of calls; the simulator is a program of its own."""
    for module in pkgutil.walk_packages(hybridproxy.__path__, "hybridproxy."):
        if module.name.startswith(("hybridproxy.simulator", "hybridproxy.demo", "hybridproxy.__main__")):
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module.name:
                yield found


def test_every_field_that_may_hold_content_is_left_out() -> None:
    """Wherever a dataclass has a field of such a name, its text does not show it."""
    shown, seen = [], 0
    for one in classes():
        if "__repr__" not in vars(one):
            continue
        seen += 1
        for field in dataclasses.fields(one):
            name = f"{one.__module__}.{one.__qualname__}.{field.name}"
            number = field.type in (int, float, float | None, int | None)
            if field.repr and field.name in SECRET and not number and name not in HARMLESS:
                shown.append(name)
    assert seen > 40
    assert shown == []


async def nothing() -> bytes:
    """Return the body that is never read."""
    return b""


@pytest.mark.parametrize(
    "value",
    [
        Call(Operation.CHAT, "qwen", False, False, 1, frozenset(), 9, {"messages": [{"content": CANARY}]}),
        Credential("k1", CANARY),
        Fault(FaultKind.INVALID_REQUEST, words=CANARY),
        UpstreamRequest("/chat", CANARY.encode(), stream=True, headers=(("authorization", CANARY),)),
        Arrival(
            Dialect.OPENAI,
            Asking(Operation.CHAT, headers=(("a", CANARY),)),
            "r",
            CANARY,
            CANARY,
            [CANARY],
            explain=False,
            body=nothing,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_text_of_a_value_holds_nothing_of_it(value: Any) -> None:
    """As such, and inside others."""
    assert CANARY not in repr(value)
    assert CANARY not in repr([{"x": (value,)}])


def test_the_text_of_a_call_under_way_holds_nothing_of_it() -> None:
    """What is planned and executed nests the caller's own words deep."""
    arrival = Arrival(
        Dialect.OPENAI,
        Asking(Operation.CHAT, headers=(("a", CANARY),)),
        "r",
        CANARY,
        CANARY,
        [CANARY],
        explain=False,
        body=nothing,
    )
    asked = Asked(arrival, typing.cast("Any", None), "qwen", typing.cast("Any", None))
    assert CANARY not in repr(asked)
    body = b'{"model":"qwen","messages":[{"role":"user","content":"' + CANARY.encode() + b'"}]}'
    assert CANARY not in repr(openai.decode_request(Operation.CHAT, body))
