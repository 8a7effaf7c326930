"""What is judged of a request alike in every dialect: its bounds, its JSON, and the names in it."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.limits import excess, excess_before_parsing

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")


class RequestError(Exception):
    """A request that cannot be served as it is. `param` is the field at fault, None for the body as a whole."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str = "invalid_request", status: int = 400
    ) -> None:
        """Keep what the caller is told, with the status it gets."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def parsed(data: bytes, exact: Collection[str]) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Args:
        data: the body.
        exact: fields that are judged or taken out; the same name in other letters would slip through to a lenient
            upstream.

    Raises:
        RequestError: with words for the caller; the status is 400.

    """
    if found := excess_before_parsing(data):
        raise RequestError(found.message, code=found.code)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        what = f"{error.msg.split(': line')[0]} at line {error.lineno}, column {error.colno}"
        raise RequestError(f"the body is not valid JSON: {what}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object", code="invalid_json")
    if found := excess(body):
        raise RequestError(found.message, code=found.code)
    spelled(body, exact)
    return body


def spelled(body: Mapping[str, Any], exact: Collection[str], within: str = "") -> None:
    """Refuse fields whose names are those of `exact` but for the case; `within`: what they stand in, for the words."""
    for name in body:
        if name not in exact and name.casefold() in exact:
            meant = name.casefold()
            raise RequestError(
                f"unknown field {name!r}: names are case-sensitive, write {meant!r}", param=within + name
            )


def model_of(body: Mapping[str, Any]) -> str:
    """Return the model that a body names."""
    model = body.get("model")
    if not isinstance(model, str) or not MODEL_NAME.fullmatch(model):
        raise RequestError("'model' must be a name of 1 to 128 letters, digits and . _ : / @ + -", param="model")
    return model


def flag(body: Mapping[str, Any], name: str, within: str = "") -> bool:
    """Return a field that is true or false, or not there; `within`: what it stands in, for the words."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise RequestError(f"{name!r} must be true or false", param=within + name)
