"""The values options take: durations, sizes, networks, URLs, keys, names. One parser each, and the type made of it.

A parser gets whatever stood in the file and raises ValueError saying what was expected. It never repeats what it got:
that may be a secret in the wrong place.
"""

import difflib
import math
import re
from collections.abc import Callable, Collection
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator

from geo.countries import CONTINENT_OF
from geo.networks import Network, pack, text
from hybridproxy.families import FAMILIES
from hybridproxy.model.backend import Endpoint, NameServer
from hybridproxy.model.snapshot import OnCut
from hybridproxy.providers import PROVIDERS
from hybridproxy.residency.demand import days, places

MAX_DURATION = 86_400.0
"""Seconds; a day is longer than any call, connection or drain."""

MAX_PATIENCE = 60.0
MAX_OPEN = 300.0
"""Seconds."""

MAX_HEDGE = 0.02
"""Asking twice for more of the calls buys little, and loads backends that are slow already."""

MAX_BODY = 64_000_000
"""Bytes. DashScope, the most generous upstream, takes 64 MiB (its rate-limit page, 2026)."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,9})?) ?%")
_SIZE = re.compile(r"([0-9]{1,12}) ?(B|kB|KB|MB|KiB|MiB)")
_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1_000_000, "KiB": 1024, "MiB": 1_048_576}
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TENANT = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}"
_MODEL = r"[!-~]{1,200}"
_WORKSPACE = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HEADER = r"[A-Za-z0-9-]{1,64}"
_HEADER_VALUE = r"[!-~](?:[ -~]{0,4094}[!-~])?"
_DIGEST = r"sha256:[0-9a-fA-F]{64}"
_SECRET = re.compile(r"[!-~]{1,4096}")
_IN_BRACKETS = re.compile(r"\[[^][]*\](?::[0-9]*)?")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# A browser reads names that end so as IPv4 addresses in disguise: 0x7f.1, 2130706433 (WHATWG URL, "ends in a number").
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
# urlsplit strips spaces and drops line ends and tabs without a word.
_URL = re.compile(r"[!-\[\]-~]{1,2048}")
_BRACKETED = re.compile(r"\[([0-9a-fA-F:.]{2,45})\](?::([0-9]{1,5}))?")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


def suggestion(word: str, known: Collection[str]) -> str:
    """Return the end of a message that lists the known words, and the one probably meant."""
    near = difflib.get_close_matches(word, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"expected one of: {', '.join(sorted(known)) or '(none)'}{meant}"


def duration(value: Any) -> float:
    """Return seconds from `3s`, `500ms`, `2m`, `1h` or a number of seconds."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        value = float(match[1]) * _SECONDS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DURATION:
        raise ValueError("expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h")
    return float(value)


def kept_days(value: Any) -> int:
    """Return the days of `400d` for which something is kept."""
    number = 0 if value == "none" else days(value)
    if not number:
        raise ValueError("expected days as in 400d; leave it out to keep everything")
    return number


def positive_duration(value: Any) -> float:
    """Return seconds, more than none."""
    seconds = duration(value)
    if seconds == 0:
        raise ValueError("expected a duration longer than 0")
    return seconds


def patience(value: Any) -> float:
    """Return seconds a call may wait for one backend."""
    seconds = duration(value)
    if seconds > MAX_PATIENCE:
        raise ValueError(f"expected at most {MAX_PATIENCE:g}s: a caller waits for it")
    return seconds


def open_time(value: Any) -> float:
    """Return seconds a target is left alone."""
    seconds = positive_duration(value)
    if seconds > MAX_OPEN:
        raise ValueError(f"expected at most {MAX_OPEN / 60:g}m: callers do without the backend for so long")
    return seconds


def on_cut(value: Any) -> tuple[OnCut, ...]:
    """Return what is tried when a stream breaks, in its order; whatever that is, the caller is told at last."""
    words = [way.value for way in OnCut]
    if not isinstance(value, list) or not value or not all(word in words for word in value):
        raise ValueError(f"expected a list of {', '.join(words)}, in the order to try them")
    if len(set(value)) < len(value):
        raise ValueError("a word stands in the list twice")
    ways = tuple(map(OnCut, value))
    if OnCut.ERROR in ways[:-1]:
        raise ValueError("nothing is tried after error: let it stand last")
    return ways if ways[-1] is OnCut.ERROR else (*ways, OnCut.ERROR)


def hedge(value: Any) -> float:
    """Return a share of calls from `2%`, none from `off`."""
    if value == "off":
        return 0.0
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= MAX_HEDGE:
        raise ValueError(f"expected off, or a share of the calls such as 1%: above 0% and at most {MAX_HEDGE:.0%}")
    return share


def body_size(value: Any) -> int:
    """Return bytes from a number or a text such as `10MB`."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        value = int(match[1]) * _BYTES[match[2]]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BODY:
        raise ValueError("expected bytes as a number or as in 10MB, from 1 to 64MB")
    return value


def weight(value: Any) -> float:
    """Return a share within a weighted group."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e6 or math.isnan(value):
        raise ValueError("expected a number above 0 and at most 1000000")
    return float(value)


def port(value: Any) -> int:
    """Return a port to listen on; 0 lets the system choose."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):  # it came from the environment
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ValueError("expected a port from 0 to 65535")
    return value


def workers(value: Any) -> int | None:
    """Return a number of processes, None for `auto`."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
        raise ValueError("expected auto or a number from 1 to 1024")
    return value


def network(value: Any) -> str:
    """Return a CIDR in its canonical form."""
    if not isinstance(value, str):
        raise ValueError("expected a network in quotes, such as 10.0.0.0/8 or 2001:db8::/32")  # noqa: TRY004
    try:
        return str(Network.parse(value))
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{value[:64]!r} ").replace("is not", "not", 1)) from None


def country(value: Any) -> str:
    """Return an ISO 3166-1 alpha-2 code."""
    if not isinstance(value, str) or value not in CONTINENT_OF:
        raise ValueError("expected an ISO 3166-1 country code in capitals, such as SG")
    return value


def countries(value: Any) -> frozenset[str]:
    """Return the countries that a list of codes and `EU` stands for."""
    found = places(value)
    for code in found:
        country(code)
    return found


def continent(value: Any) -> str:
    """Return a continent's code."""
    known = sorted(set(CONTINENT_OF.values()))
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"expected a continent's code: {', '.join(known)}")
    return value


def endpoint(value: Any) -> Endpoint:
    """Return where a URL points. The URL is written plainly: no user, query or fragment, no address in disguise."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError("expected a URL such as https://10.0.3.11:8000")
    try:
        url = urlsplit(value)
        number = url.port
    except ValueError:
        raise ValueError("not a URL: check the brackets and the port") from None
    if url.scheme not in ("http", "https"):
        raise ValueError("expected a URL that begins with https:// or http://")
    if "@" in url.netloc:
        raise ValueError("a URL takes no user and no password: write the key as api_key")
    if "[" in url.netloc and not _IN_BRACKETS.fullmatch(url.netloc):  # urlsplit drops what stands around the brackets
        raise ValueError("not a URL: check the brackets and the port")
    if "?" in value or "#" in value:
        raise ValueError("a URL takes neither query nor fragment here")
    base = url.path.rstrip("/")
    if not _BASE_PATH.fullmatch(base) or any(part in (".", "..") for part in base.split("/")) or "%2" in base:
        raise ValueError("the URL's path has empty, dotted or oddly written parts: write it plainly")
    if number == 0 or url.netloc.endswith(":"):
        raise ValueError("expected a port from 1 to 65535 in the URL")
    return Endpoint(url.scheme, host(url.hostname), number or (443 if url.scheme == "https" else 80), base)


def anchor(value: Any) -> str:
    """Return where the audit log's heads go: `none`, a file, or a URL that takes them by POST."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected none, a file, or a URL such as https://anchor.example/heads")
    if "://" in value:
        endpoint(value)
    return value


def host(value: Any) -> str:
    """Return an address in its canonical form, or a name in small letters."""
    if isinstance(value, str):
        packed = pack(value)
        if packed is not None:
            return text(packed)
        labels = value.removesuffix(".").split(".")
        if len(value) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMERIC_LABEL.fullmatch(labels[-1]):
            return value.lower()
    raise ValueError("expected an IP address or a host name")


def name_server(value: Any) -> NameServer:
    """Return the address and the port of a name server; a name would need another one to ask."""
    if isinstance(value, str):
        address, number = value, "53"
        if match := _BRACKETED.fullmatch(value):
            address, number = match[1], match[2] or number
        elif value.count(":") == 1:
            address, _, number = value.partition(":")
        packed = pack(address)
        if packed is not None and re.fullmatch(r"[0-9]{1,5}", number) and 1 <= int(number) <= 65535:
            return text(packed), int(number)
    raise ValueError("expected the IP address of a name server, with a port if it is not 53: 10.0.0.2 or 10.0.0.2:5353")


def secret(value: Any) -> str:
    """Return a key or token that fits into a header."""
    if not isinstance(value, str) or not _SECRET.fullmatch(value):
        raise ValueError(
            "expected ${NAME}, whose value is not empty and has no spaces, line ends or control characters"
        )
    return value


def key_digest(value: Any) -> bytes:
    """Return the digest of a tenant's key."""
    if not isinstance(value, str) or not re.fullmatch(_DIGEST, value):
        raise ValueError(
            "expected sha256: and 64 hex digits, as `hybridproxy key new TENANT` prints; never a key itself"
        )
    return bytes.fromhex(value[7:])


def _matching(pattern: str, expected: str) -> Callable[[Any], str]:
    compiled = re.compile(pattern)

    def check(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(expected)
        return value

    return check


def _starred(value: Any) -> str:
    name = _matching(_MODEL, "expected a model's name: up to 200 visible ASCII characters")(value)
    if name.count("*") > 1:
        raise ValueError("a model's name holds at most one *")
    return name


def _row_of(table: Collection[str], noun: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in table:
            raise ValueError(f"unknown {noun}: {suggestion(value if isinstance(value, str) else '', table)}")
        return value

    return check


# What an editor is told about each type stands in `json_schema_input_type`.
_DurationText = Annotated[str, Field(pattern=rf"^{_DURATION.pattern}$", examples=["3s", "500ms"])] | float
_Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
_Env = Annotated[str, Field(pattern=r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")]
_EnvPair = Annotated[str, Field(pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}(?::\$\{[A-Za-z_][A-Za-z0-9_]*\}){0,2}$")]
"""A key, or the parts of a pair that signs (AWS)."""
_PortText = Annotated[int, Field(ge=0, le=65535)] | _Env

Duration = Annotated[float, PlainValidator(duration, json_schema_input_type=_DurationText)]
PositiveDuration = Annotated[float, PlainValidator(positive_duration, json_schema_input_type=_DurationText)]
Patience = Annotated[float, PlainValidator(patience, json_schema_input_type=_DurationText)]
OpenTime = Annotated[float, PlainValidator(open_time, json_schema_input_type=_DurationText)]
Ways = Annotated[
    tuple[OnCut, ...],
    PlainValidator(
        on_cut,
        json_schema_input_type=Annotated[
            list[Annotated[str, Field(json_schema_extra={"enum": [way.value for way in OnCut]})]],
            Field(min_length=1, json_schema_extra={"uniqueItems": True}),
        ],
    ),
]
Hedge = Annotated[
    float,
    PlainValidator(
        hedge,
        json_schema_input_type=Annotated[str, Field(pattern=rf"^(off|{_SHARE.pattern})$", examples=["off", "2%"])],
    ),
]
BodySize = Annotated[int, PlainValidator(body_size, json_schema_input_type=Annotated[int, Field(ge=1)] | str)]
Weight = Annotated[float, PlainValidator(weight, json_schema_input_type=Annotated[float, Field(gt=0, le=1e6)])]
Days = Annotated[
    int,
    PlainValidator(
        days, json_schema_input_type=Annotated[str, Field(pattern=r"^(none|[0-9]{1,4}d)$", examples=["none", "30d"])]
    ),
]
KeptDays = Annotated[
    int,
    PlainValidator(
        kept_days, json_schema_input_type=Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}d$", examples=["400d"])]
    ),
]
Places = Annotated[
    frozenset[str],
    PlainValidator(
        countries,
        json_schema_input_type=Annotated[
            list[Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["US", "EU"])]], Field(min_length=1)
        ],
    ),
]
Port = Annotated[int, PlainValidator(port, json_schema_input_type=_PortText)]
Workers = Annotated[int | None, PlainValidator(workers, json_schema_input_type=int | str)]
Cidr = Annotated[str, PlainValidator(network, json_schema_input_type=str)]
Country = Annotated[
    str, PlainValidator(country, json_schema_input_type=Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["SG"])])
]
Continent = Annotated[
    str,
    PlainValidator(
        continent,
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": sorted(set(CONTINENT_OF.values()))})],
    ),
]
Url = Annotated[Endpoint, PlainValidator(endpoint, json_schema_input_type=Annotated[str, Field(pattern="^https?://")])]
Anchor = Annotated[
    str, PlainValidator(anchor, json_schema_input_type=Annotated[str, Field(min_length=1, examples=["none"])])
]
Host = Annotated[str, PlainValidator(host, json_schema_input_type=str)]
Resolver = Annotated[
    NameServer,
    PlainValidator(name_server, json_schema_input_type=Annotated[str, Field(examples=["10.0.0.2", "10.0.0.2:5353"])]),
]
Secret = Annotated[str, PlainValidator(secret, json_schema_input_type=_EnvPair)]
Digest = Annotated[
    bytes, PlainValidator(key_digest, json_schema_input_type=Annotated[str, Field(pattern=f"^{_DIGEST}$")])
]
Name = Annotated[
    str,
    PlainValidator(
        _matching(_NAME, "expected a name: letters, digits, '.', '_' and '-', at most 64 characters"),
        json_schema_input_type=_Name,
    ),
]
TenantId = Annotated[
    str,
    PlainValidator(
        _matching(_TENANT, "expected a tenant's name: letters, digits, '.', '_', '@' and '-', at most 128 characters"),
        json_schema_input_type=Annotated[str, Field(pattern=rf"^{_TENANT}$")],
    ),
]
ModelName = Annotated[
    str, PlainValidator(_starred, json_schema_input_type=Annotated[str, Field(pattern=rf"^{_MODEL}$")])
]
ModelPattern = Annotated[
    str,
    PlainValidator(
        _matching(_MODEL, "expected a model's name or a pattern with *: visible ASCII characters"),
        json_schema_input_type=Annotated[str, Field(pattern=rf"^{_MODEL}$")],
    ),
]
Workspace = Annotated[
    str,
    PlainValidator(
        _matching(_WORKSPACE, "expected the name of a workspace, such as llm-1a2b3c"),
        json_schema_input_type=Annotated[str, Field(pattern=f"^{_WORKSPACE}$")],
    ),
]
HeaderName = Annotated[
    str,
    PlainValidator(
        _matching(_HEADER, "expected the name of a header, such as x-portkey-config"),
        json_schema_input_type=Annotated[str, Field(pattern=f"^{_HEADER}$")],
    ),
]
HeaderValue = Annotated[
    str,
    PlainValidator(
        _matching(_HEADER_VALUE, "expected one line of visible ASCII characters"),
        json_schema_input_type=Annotated[str, Field(pattern=f"^{_HEADER_VALUE}$")],
    ),
]
ProviderName = Annotated[
    str,
    PlainValidator(
        _row_of(PROVIDERS, "provider"),
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": sorted(PROVIDERS)})],
    ),
]
FamilyName = Annotated[
    str,
    PlainValidator(
        _row_of(FAMILIES, "family"),
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": sorted(FAMILIES)})],
    ),
]
