"""From a judged call to the body one backend gets: our own serialisation, in the provider's spelling."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS, Body, Provider
from hybridproxy.residency.records import Origin
from hybridproxy.transport.upstream import UpstreamRequest

MAX_PRIORITY: Final = 100
"""How far behind others a call may stand."""

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def outgoing_request(
    call: Call,
    target: Target[Any],
    request_id: str,
    *,
    owner: Tenant | None = None,
    said: str | None = None,
    running_usage: bool = False,
    spent: int = 0,
    origin: Origin | None = None,
) -> UpstreamRequest:
    """Return what a target is sent under this id of ours; `owner`: whose call it is, None: our own.

    For the rest, and for what it raises, see `outgoing_body`; `origin` is what the audit log tells of it.
    """
    provider = PROVIDERS[target.backend.provider]
    return UpstreamRequest(
        path=provider.path(call.operation, target.endpoint.base_path),
        body=outgoing_body(
            call, provider, target.model, target.backend.pin,
            said=said, running_usage=running_usage, spent=spent, ours=_ours(call, provider, target.backend, owner),
        ),
        stream=call.stream,
        headers=(("x-request-id", request_id),),
        origin=origin,
    )  # fmt: skip


def _ours(
    call: Call, provider: Provider, backend: Backend | SovereignBackend, owner: Tenant | None
) -> Mapping[str, Any]:
    """Return the fields that say whose call it is: the tenant's own cache, and its place in the queue.

    A caller may stand back behind its tenant's other calls, never come before them.
    """
    if owner is None or not (provider.salt or backend.priority):
        return NOTHING
    made: Body = {}
    if provider.salt and owner.salt:
        made[provider.salt] = owner.salt
    if backend.priority:
        asked = call.body.get("priority")
        priority = max(owner.priority, asked) if type(asked) is int else owner.priority
        if priority:
            made["priority"] = min(priority, MAX_PRIORITY)
    return made


def outgoing_body(
    call: Call,
    provider: Provider,
    model: str,
    pins: tuple[str, ...],
    *,
    said: str | None = None,
    running_usage: bool = False,
    spent: int = 0,
    ours: Mapping[str, Any] = NOTHING,
) -> bytes:
    """Return the JSON that goes to a backend.

    Fields by which a client could steer the upstream's own routing are left out, fields the provider does not know are
    dropped or renamed, and the usage of a stream is asked for where it does not come by itself.

    Args:
        call: what the caller asked for; its body is not changed.
        provider: how the backend speaks.
        model: the backend's own name of the model.
        pins: the operator's pins.
        said: what the caller has of a chat's answer, without whitespace at its end: the backend is asked to write on
            from there, in its native way. Where it is empty there is nothing to write on from, and the call is asked
            anew.
        running_usage: ask for the usage in each chunk of a stream, where the provider can.
        spent: about how many tokens of the answer the caller has; the limits on its length shrink by them.
        ours: fields of our own, whatever the caller put there.

    Raises:
        ValueError: the provider does not continue an answer; no prompt is made up for one that does not.

    """
    drops, renames = provider.drops, provider.renames
    body: dict[str, Any] = {
        renames.get(name, name): value
        for name, value in call.body.items()
        if name not in CONTROL_FIELDS and name not in drops
    }
    body["model"] = model
    if call.stream:
        if provider.asks_for_usage:
            options = {**(call.body.get("stream_options") or {}), "include_usage": True}
            if running_usage and provider.running_usage:
                options["continuous_usage_stats"] = True
            body["stream_options"] = options
    else:
        body.pop("stream_options", None)
        body.pop("stream", None)
    if said is not None:
        _continue(body, call, provider, said)
    if spent:
        _shorten(body, spent)
    if provider.prepare is not None:
        provider.prepare(body, pins)
    if ours:
        body.update(ours)
    return orjson.dumps(body)


def _continue(body: Body, call: Call, provider: Provider, said: str) -> None:
    """Ask the backend to write on from what was said."""
    continues = provider.continuation
    if continues is None or call.operation is not Operation.CHAT:
        raise ValueError(f"{provider.name!r} does not continue the answer of a {call.operation.value} call")
    if said:
        body["messages"] = [*body["messages"], {"role": "assistant", "content": said, **continues.message}]
        body.update(continues.body)
        if continues.template:
            given = body.get("chat_template_kwargs")
            body["chat_template_kwargs"] = {**(given if isinstance(given, dict) else {}), **continues.template}
        body.pop("echo", None)  # vLLM would say again what the caller has


def _shorten(body: Body, spent: int) -> None:
    """Take the tokens that were spent from the limits; what is no number is the upstream's to refuse."""
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if type(limit) is int and limit > 0:
            body[name] = max(1, limit - spent)
    least = body.get("min_tokens")  # vLLM refuses one above the limit
    if type(least) is int:
        body["min_tokens"] = max(0, least - spent)
