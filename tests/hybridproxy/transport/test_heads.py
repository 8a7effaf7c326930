import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.backend import Credential, Endpoint
from hybridproxy.transport.heads import request_head, request_prefix, signature

ENDPOINT = Endpoint("https", "api.example.com", 443, "/compatible-mode/v1")
KEY = Credential("a", "sk-1")


def head(*extra: tuple[str, str], endpoint: Endpoint = ENDPOINT, key: Credential = KEY, stream: bool = False) -> str:
    """The head of a request with a body of seven bytes."""
    return request_head(request_prefix(endpoint, key, "/chat/completions", stream=stream), 7, extra).decode("latin-1")


def test_the_head_of_a_request() -> None:
    """Everything an upstream needs, once each, and an empty line at the end."""
    lines = head(("x-request-id", "r1")).split("\r\n")
    assert lines[0] == "POST /compatible-mode/v1/chat/completions HTTP/1.1"
    assert lines[-2:] == ["", ""]
    fields = dict(line.split(": ", 1) for line in lines[1:-2])
    assert fields.pop("user-agent").startswith("hybridproxy/")
    assert fields == {
        "host": "api.example.com",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer sk-1",
        "content-length": "7",
        "x-request-id": "r1",
    }


def test_a_page_is_asked_for_by_its_own_method() -> None:
    """The rest of the head is as ever."""
    asked = request_prefix(ENDPOINT, KEY, "/metrics", stream=False, method="GET")
    posted = request_prefix(ENDPOINT, KEY, "/metrics", stream=False)
    assert asked == posted.replace(b"POST", b"GET", 1)


def test_a_stream_is_asked_for() -> None:
    """A streaming request says that it takes events."""
    assert "\r\naccept: text/event-stream\r\n" in head(stream=True)


def test_without_a_key_there_is_no_authorization() -> None:
    """An endpoint without authentication gets no empty header."""
    assert "authorization" not in head(key=Credential("none", ""))


def test_a_port_or_an_ipv6_address_stands_in_the_host() -> None:
    """The Host header is written as in a URL."""
    assert "\r\nhost: [fd00::1]:8000\r\n" in head(endpoint=Endpoint("http", "fd00::1", 8000, ""))


@given(st.text(), st.text())
def test_an_extra_header_is_sent_as_it_is_or_not_at_all(name: str, value: str) -> None:
    """No name or value can start another header, end the head or change the framing."""
    plain = head()
    try:
        sent = head((name, value))
    except ValueError:
        return
    assert sent == plain.removesuffix("\r\n") + f"{name}: {value}\r\n\r\n"
    assert sent.count("\n") == plain.count("\n") + 1
    assert not set("\r\n\0") & set(name + value)


@pytest.mark.parametrize("name", ["host", "Content-Length", "transfer-encoding", "authorization", "a b", "", "a:"])
def test_our_own_headers_are_not_open_to_others(name: str) -> None:
    """What decides framing, place or identity cannot be set as an extra header."""
    with pytest.raises(ValueError, match="header"):
        head((name, "1"))


def test_a_value_may_hold_what_latin_1_has() -> None:
    """Old header values go out byte for byte; what HTTP has no place for is refused."""
    assert "\r\nx-title: Grüße\t1\r\n" in head(("x-title", "Grüße\t1"))
    with pytest.raises(ValueError, match="x-title"):
        head(("x-title", "привет"))


def test_a_value_that_cannot_be_sent_is_not_repeated() -> None:
    """The error names the header and leaves out what may be a secret."""
    with pytest.raises(ValueError, match="x-trace") as refused:
        head(("x-trace", "very secret\n"))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("secret", ["sk-1\r\nhost: evil", "sk\0", "sk-ключ"])
def test_a_key_that_cannot_be_sent_is_not_repeated(secret: str) -> None:
    """The error names the header and keeps the key to itself."""
    with pytest.raises(ValueError, match="authorization") as refused:
        head(key=Credential("a", secret))
    assert "sk" not in str(refused.value)


@pytest.mark.parametrize("base_path", ["/v 1", "/v1\r\nx: y", "/v\t1", "v1", "/ü"])
def test_a_path_that_is_none_is_refused(base_path: str) -> None:
    """No path can end the request line early."""
    with pytest.raises(ValueError, match="path"):
        head(endpoint=Endpoint("http", "h", 80, base_path))


def test_a_key_is_shown_the_way_the_provider_wants_it() -> None:
    """In a header of its own, or nowhere: what signs stays here."""
    assert "\r\nx-portkey-api-key: pk-1\r\n" in head(key=Credential("p", "pk-1", "x-portkey-api-key", ""))
    signs = Credential("b", "AKIA1:sEcReT:ToKeN", signs=("bedrock", "us-east-1"))
    prefix = request_prefix(ENDPOINT, signs, "/chat/completions", stream=False)
    assert b"AKIA1" not in prefix
    assert b"authorization" not in prefix
    made = signature(ENDPOINT, signs, "/v1/chat/completions", b"{}", 1795420800.0)
    whole = request_head(prefix, 2, (), made).decode()
    assert "\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIA1/20261123/us-east-1/bedrock/aws4_request, " in whole
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=" in whole
    assert "\r\nx-amz-date: 20261123T080000Z\r\nx-amz-security-token: ToKeN\r\n" in whole
    assert "sEcReT" not in whole
    assert whole.endswith("\r\n\r\n")


@pytest.mark.parametrize("key", [KEY, Credential("b", "not a pair", signs=("bedrock", "us-east-1"))])
def test_what_is_no_pair_signs_nothing(key: Credential) -> None:
    """The words do not repeat it."""
    with pytest.raises(ValueError, match="cannot sign a request: it is not ID:SECRET"):
        signature(ENDPOINT, key, "/", b"", 0.0)
