"""From a judged call to the body one backend gets: our own serialisation, in the provider's spelling."""

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Final

import orjson

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.marks import only, without_marks
from hybridproxy.dialects.openai import BEGINS
from hybridproxy.dialects.thinking import say_thinking
from hybridproxy.dialects.translator import Outgoing, Voice
from hybridproxy.dialects.unify import THINKING
from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.call import ANSWER_BOUNDS, Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.value import value
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS, Body, Provider
from hybridproxy.residency.records import Origin
from hybridproxy.transport.upstream import UpstreamRequest

MAX_PRIORITY: Final = 100
"""How far behind others a call may stand."""

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@value
class Spoken:
    """How an attempt speaks with its upstream, and how its caller hears of it.

    Attributes:
        dialect: the upstream's.
        native: that is the caller's, whose own words go there, and the answer's bytes back.
        gathers: it streams though the caller does not, so the answer is put together here.
        voice: what the caller hears, None: what the upstream says as it is, or OpenAI's form of it.

    """

    dialect: Dialect = Dialect.OPENAI
    native: bool = False
    gathers: bool = False
    voice: Voice | None = field(default=None, repr=False)


PLAIN: Final = Spoken()


def spoken(call: Call, target: Target[Any], voice: Voice | None = None, *, recovers: bool = False) -> Spoken:
    """Return how a call is spoken to a target; `recovers`: its stream may have to go on elsewhere.

    Such a stream is never the upstream's own bytes, since parts are joined in OpenAI's form.
    """
    provider = PROVIDERS[target.backend.provider]
    gathers = target.streams_only and not call.stream and call.operation.streams
    if call.dialect is Dialect.OPENAI and not gathers and call.operation in provider.paths:
        return PLAIN
    fits = TRANSLATORS[call.dialect].fits
    translates = recovers or (fits is not None and not fits(call, target.model))
    # what is put together here goes as a chat: a provider's fields are spelled for that, and not for its other dialects
    dialect = provider.dialect_for(call, plain=target.backend.plain or translates or gathers)
    native = call.dialect is dialect is not Dialect.OPENAI and not translates and not gathers
    return Spoken(dialect, native, gathers, None if native else voice)


@value
class Part:
    """Which part of an answer is asked for.

    Attributes:
        said: what the caller has of a chat's answer, without whitespace at its end: the backend is asked to write on
            from there, in its native way. Where it is empty there is nothing to write on from, and the call is asked
            anew. None: it has nothing.
        spent: about how many tokens of the answer the caller has; the limits on its length shrink by them.
        breaks: the stream may break and have to go on elsewhere, so its usage is asked for in each chunk, where the
            provider can.

    """

    said: str | None = field(default=None, repr=False)
    spent: int = 0
    breaks: bool = False


WHOLE: Final = Part()


@value
class Sent:
    """A request to an upstream, and the caller's fields that are not in it."""

    request: UpstreamRequest
    dropped: tuple[str, ...] = ()


def outgoing_request(
    call: Call,
    target: Target[Any],
    request_id: str,
    *,
    way: Spoken = PLAIN,
    owner: Tenant | None = None,
    part: Part = WHOLE,
    origin: Origin | None = None,
) -> Sent:
    """Return what a target is sent.

    Args:
        call: the call.
        target: where it goes.
        request_id: our id of it.
        way: how the target is spoken to.
        owner: whose call it is, None: our own.
        part: which part of the answer is asked for.
        origin: what the audit log tells of it.

    Raises:
        ValueError: the provider does not continue an answer; no prompt is made up for one that does not.

    """
    provider = PROVIDERS[target.backend.provider]
    ours = _ours(call, provider, target.backend, owner)
    base = target.endpoint.base_path
    headers: tuple[tuple[str, str], ...] = (("x-request-id", request_id), *target.backend.headers)
    stream = call.stream or way.gathers
    if way.dialect is Dialect.OPENAI:
        path, root = provider.path(call.operation, base), None
        made = outgoing_body(
            call, provider, target.model, target.backend.pin,
            stream=stream, part=part, ours=ours,
        )  # fmt: skip
    else:
        wire, translator = provider.wires[way.dialect], TRANSLATORS[way.dialect]
        if way.native:
            assert translator.repeat is not None  # noqa: S101 - what passes natively can be said again
            made = translator.repeat(call, target.model)
        else:
            assert translator.request is not None  # noqa: S101 - a provider's row that has the dialect as its only one
            body = outgoing_body(call, provider, target.model, target.backend.pin, stream=stream, part=part)
            made = translator.request(body.body, stream)
            made = replace(made, dropped=(*body.dropped, *made.dropped))
        path = wire.paths[call.operation].replace("{variant}", made.variant or call.variant)
        root, headers = wire.root_at(base), (*headers, *wire.headers)
        given = {name for name, _ in headers}  # what the operator says a caller does not say otherwise
        headers += tuple((name, text) for name, text in made.headers if name not in given)
    request = UpstreamRequest(
        path, orjson.dumps(made.body), stream=call.stream, headers=headers, origin=origin, root=root
    )
    return Sent(request, made.dropped)


def _ours(
    call: Call, provider: Provider, backend: Backend | SovereignBackend, owner: Tenant | None
) -> Mapping[str, Any]:
    """Return the fields that say whose call it is: the tenant's own cache, and its place in the queue."""
    if owner is None or not (provider.salt or backend.priority):
        return NOTHING
    made: Body = {}
    if provider.salt and owner.salt:
        made[provider.salt] = owner.salt
    if backend.priority and (priority := priority_of(call, owner)):
        made["priority"] = min(priority, MAX_PRIORITY)
    return made


def priority_of(call: Call, owner: Tenant) -> int:
    """Return how far behind others a call stands. It may stand back behind its tenant's others, never come before."""
    asked = call.body.get("priority")
    return max(owner.priority, asked) if type(asked) is int else owner.priority


def outgoing_body(
    call: Call,
    provider: Provider,
    model: str,
    pins: tuple[str, ...],
    *,
    stream: bool,
    part: Part = WHOLE,
    ours: Mapping[str, Any] = NOTHING,
) -> Outgoing:
    """Return the JSON that goes to a backend, in OpenAI's dialect, and what of the caller's is not in it.

    Fields by which a client could steer the upstream's own routing are left out, fields the provider does not know are
    dropped or renamed, thinking is asked for in its spelling, and the usage of a stream where it does not come by
    itself.

    Args:
        call: what the caller asked for; its body is not changed.
        provider: how the backend speaks.
        model: the backend's own name of the model.
        pins: the operator's pins.
        stream: the answer shall come as a stream.
        part: which part of the answer is asked for.
        ours: fields of our own, whatever the caller put there.

    Raises:
        ValueError: the provider does not continue an answer; no prompt is made up for one that does not.

    """
    provider = provider.for_model(model)
    body, dropped = _accepted(call, provider)
    body["model"] = model
    if stream:
        body["stream"] = True
        if provider.asks_for_usage:
            options = {**(call.body.get("stream_options") or {}), "include_usage": True}
            if part.breaks and provider.running_usage:
                options["continuous_usage_stats"] = True
            body["stream_options"] = options
    else:
        body.pop("stream_options", None)
        body.pop("stream", None)
    if call.begun:
        _begin(body, call, provider)
    if part.said is not None:
        _continue(body, call, provider, part.said)
    if part.spent:
        _shorten(body, part.spent)
    if provider.prepare is not None:
        provider.prepare(body, pins)
    if ours:
        body.update(ours)
    return Outgoing(body, dropped=dropped)


_OURS_TO_SAY: Final = frozenset({"stream_options", "model", "stream"})
"""Fields that we say for the caller."""

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType(
    {"n": 1, "store": False, "logprobs": False, "parallel_tool_calls": True, "echo": False}
)
"""What a field says that says nothing, since it would be so without it; None says nothing in any."""


def _accepted(call: Call, provider: Provider) -> tuple[Body, tuple[str, ...]]:
    """Return the caller's fields in the provider's words, and the names of those that it does not take."""
    body: Body = {name: value for name, value in call.body.items() if name not in CONTROL_FIELDS}
    dropped = call.dropped
    if call.operation is not Operation.CHAT:
        taken = body.keys() - provider.drops
    else:
        dropped += say_thinking(body, provider.thinks)
        taken = body.keys() - provider.drops
        if provider.accepts is not None:
            taken &= provider.accepts
        if provider.reasoning != THINKING:
            body["messages"] = _thoughts(body["messages"], provider.reasoning)
        if provider.messages is not None:
            dropped += only(body, provider.messages)
        if call.dialect is not Dialect.OPENAI:  # what callers of that write is theirs to know
            dropped += without_marks(body, provider.marks)
    if len(taken) < len(body):
        left_out = [name for name in body if name not in taken and name not in _OURS_TO_SAY]
        dropped += tuple(name for name in left_out if body[name] not in (None, _EMPTY.get(name)))
    if not provider.renames:
        return {name: value for name, value in body.items() if name in taken}, dropped
    return _renamed(body, taken, provider.renames), dropped


def _renamed(body: Body, taken: Collection[str], renames: Mapping[str, str]) -> Body:
    """Return what is taken of a body in the provider's names; of two numbers that get one name the lower.

    A null would otherwise take the place of what another field of that name says.
    """
    made: Body = {}
    for name, given in body.items():
        if name not in taken or given is None:
            continue
        own = renames.get(name, name)
        before = made.get(own)
        if type(before) is type(given) is int:
            made[own] = min(before, given)
        elif before is None or name in renames:
            made[own] = given
    return made


def _thoughts(messages: list[Any], name: str) -> list[Any]:
    """Return the messages with what a model thought in the provider's field; those that have none are the same."""
    if not any(THINKING in message for message in messages):
        return messages
    return [{name if key == THINKING else key: value for key, value in message.items()} for message in messages]


def _begin(body: Body, call: Call, provider: Provider) -> None:
    """Ask the backend to go on from the last message, in its own way instead of the caller's.

    One with anything but text in it stays as it is, for the backend to judge.
    """
    *before, last = body["messages"]
    content = last.get("content")
    if type(content) is list and all(type(part) is dict and type(part.get("text")) is str for part in content):
        content = "".join(part["text"] for part in content)
    if type(content) is str:
        body["messages"] = before
        for name in ("continue_final_message", "add_generation_prompt"):
            body.pop(name, None)
        _continue(body, call, provider, content, {name: last[name] for name in last.keys() - BEGINS})


def _continue(body: Body, call: Call, provider: Provider, said: str, last: Mapping[str, Any] = NOTHING) -> None:
    """Ask the backend to write on from what was said; `last` is the rest of the message in which it was."""
    continues = provider.continuation
    if continues is None or call.operation is not Operation.CHAT:
        raise ValueError(f"{provider.name!r} does not continue the answer of a {call.operation.value} call")
    if said:
        body["messages"] = [*body["messages"], {**last, "role": "assistant", "content": said, **continues.message}]
        body.update(continues.body)
        if continues.template:
            given = body.get("chat_template_kwargs")
            body["chat_template_kwargs"] = {**(given if isinstance(given, dict) else {}), **continues.template}
        body.pop("echo", None)  # vLLM would say again what the caller has


def _shorten(body: Body, spent: int) -> None:
    """Take the tokens that were spent from the limits; what is no number is the upstream's to refuse."""
    for name in ANSWER_BOUNDS:
        limit = body.get(name)
        if type(limit) is int and limit > 0:
            body[name] = max(1, limit - spent)
    least = body.get("min_tokens")  # vLLM refuses one above the limit
    if type(least) is int:
        body["min_tokens"] = max(0, least - spent)
