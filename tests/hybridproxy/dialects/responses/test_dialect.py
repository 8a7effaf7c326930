"""Tests of the row of the Responses API, and of what it does not offer."""

import orjson
import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.responses.dialect import RESPONSES, is_about_a_kept_response
from hybridproxy.dialects.translator import Problem
from hybridproxy.model.dialect import Dialect


def test_it_is_called_where_openai_and_dashscope_have_it() -> None:
    """Applications change a base URL, and nothing else."""
    assert set(RESPONSES.paths) == {"/v1/responses", "/compatible-mode/v1/responses"}
    assert TRANSLATORS[Dialect.RESPONSES] is RESPONSES


def test_an_error_is_said_as_openai_says_it() -> None:
    """The SDK has one way to read them."""
    status, body = RESPONSES.problem(Problem(400, "m", "invalid_request_error", "c", "input[0].type"), "req_1")
    told = {"message": "m", "type": "invalid_request_error", "param": "input[0].type", "code": "c"}
    assert (status, orjson.loads(body)) == (400, {"error": told})


@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("/v1/responses", False),
        ("/v1/responses/resp_1", True),
        ("/v1/responses/resp_1/input_items", True),
        ("/compatible-mode/v1/responses/resp_1/cancel", True),
        ("/v1/responsesx/resp_1", False),
        ("/v1/models/x", False),
    ],
)
def test_what_is_about_a_kept_response_is_known(path: str, about: bool) -> None:
    """The proxy keeps none, and says so."""
    assert is_about_a_kept_response(path) is about
