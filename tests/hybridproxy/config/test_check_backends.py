"""What has to fit together within a VPC backend: its networks, its name servers, its certificates."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config.load import load
from hybridproxy.config.settings import Configuration
from hybridproxy.model.backend import Tls
from tests.hybridproxy.config.conftest import config
from tests.hybridproxy.transport.certificates import Authority

Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whoever signs certificates."""
    return Authority(tmp_path_factory.mktemp("authority"), "Test CA")


def vpc(url: str = "https://10.0.3.1", networks: str = "10.0.3.0/24", more: str = "") -> str:
    """A configuration with one VPC backend."""
    return config(
        backends=f'{{a: {{provider: vllm, trust: vpc, endpoints: ["{url}"], allow_cidrs: [{networks}]{more}}}}}'
    )


@pytest.mark.parametrize(
    ("resolver", "networks", "wrong"),
    [
        ('["10.0.0.2"]', "10.0.3.0/24", None),
        ('["10.0.0.2:5353", "[fd00::2]"]', "10.0.3.0/24", None),
        ('["127.0.0.53"]', "10.0.3.0/24", None),
        ('["11.0.0.2"]', "11.0.0.0/16", None),
        ('["8.8.8.8"]', "10.0.3.0/24", "expected a name server of your own"),
        ('["10.0.0.2", "64:ff9b::a00:2"]', "10.0.3.0/24", "expected a name server of your own"),
        ('["169.254.169.253"]', "10.0.3.0/24", "expected a name server of your own"),
        ('["dns.internal"]', "10.0.3.0/24", "expected the IP address of a name server"),
        ('["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]', "10.0.3.0/24", "expected at most 4"),
    ],
)
def test_a_name_server_is_the_operators_own(
    resolver: str, networks: str, wrong: str | None, load_text: Load, mistakes_in: Mistakes
) -> None:
    """A private address, or one inside the backend's networks; only then a name may stand as an endpoint."""
    text = vpc("https://vllm.internal", networks, f", resolver: {resolver}")
    if wrong is None:
        backend = load_text(text).snapshot.sovereign["a"]
        assert backend.resolver == load_text(text).snapshot.backends["a"].resolver != ()
        assert backend.endpoints[0].host == "vllm.internal"
    else:
        found = mistakes_in(text)
        assert any(wrong in mistake for mistake in found), found
        assert not any("a name could be made" in mistake for mistake in found)


def test_a_name_needs_one_and_a_third_party_has_none(mistakes_in: Mistakes) -> None:
    """The system's name servers are for third parties, and the others for the VPC."""
    (mistake,) = mistakes_in(vpc("https://vllm.internal"))
    assert "a name could be made to point elsewhere (see resolver)" in mistake
    third = "{a: {provider: openai, api_key: '${TOGETHER_API_KEY}', base_url: 'https://h', resolver: ['10.0.0.2']}}"
    (mistake,) = mistakes_in(config(backends=third))
    assert "only for vpc backends" in mistake


@pytest.mark.parametrize("network", ["0.0.0.0/8", "224.0.0.0/8", "255.255.255.255/32", "ff02::/16"])
def test_a_network_that_is_nobodys_is_no_vpc(network: str, mistakes_in: Mistakes) -> None:
    """Multicast, reserved, and what Linux takes for the machine itself."""
    (mistake,) = mistakes_in(vpc(networks=f"10.0.3.0/24, {network}"))
    assert "no server has an address in this network" in mistake


@pytest.mark.parametrize("network", ["169.254.169.254/32", "169.254.0.0/16", "100.100.100.200/32", "'fd00:ec2::/64'"])
def test_a_metadata_service_is_warned_of(network: str, load_text: Load) -> None:
    """Whoever names it means it, and is told what it is."""
    loaded = load_text(vpc(networks=f"10.0.3.0/24, {network}"))
    (warning,) = [warning for warning in loaded.warnings if "metadata services" in warning]
    assert "allow_cidrs[1]" in warning


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        ("http://10.0.3.1", ", insecure: true", ["plain http for a vpc backend"]),
        ("http://vllm.internal", ', insecure: true, resolver: ["10.0.0.2"]', ["plain http for a vpc backend"]),
        ("https://10.0.3.1", "", ["any authority that this system trusts"]),
        ("https://10.0.3.1", ", insecure: true", ["any authority that this system trusts"]),
    ],
)
def test_what_weakens_the_vpc_is_warned_of(url: str, more: str, words: list[str], load_text: Load) -> None:
    """Plain http, and TLS that any public authority could vouch for."""
    warnings = load_text(vpc(url, more=more)).warnings
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_the_machine_itself_needs_no_warning(load_text: Load) -> None:
    """Nobody else listens on loopback; and a third party's backend is not the VPC's."""
    loopback = vpc("http://127.0.0.1:1", "127.0.0.0/8", ", insecure: true")
    assert load_text(loopback).warnings == ()
    assert load_text(loopback.replace("trust: vpc, ", "").replace("127.0.0.1:1", "127.0.0.1:2")).warnings == ()


def files(authority: Authority, folder: Path) -> dict[str, Path]:
    """Certificates and keys, good and bad."""
    cert, key = authority.client("hybridproxy")
    _, other = authority.client("other")
    _, locked = authority.client("hybridproxy", b"secret")
    (folder / "empty.pem").touch()
    return {
        "cert": cert,
        "key": key,
        "other": other,
        "locked": locked,
        "none": folder / "none",
        "empty": folder / "empty.pem",
    }


@pytest.mark.parametrize(
    ("cert", "key", "wrong"),
    [
        ("cert", "key", None),
        ("cert", None, "tls.cert: cert and key go together"),
        (None, "key", "tls.key: cert and key go together"),
        ("cert", "other", "tls.key: expected the key of the certificate"),
        ("cert", "locked", "tls.key: expected the key of the certificate"),
        ("cert", "empty", "tls.key: expected the key of the certificate"),
        ("empty", "key", "tls.key: expected the key of the certificate"),
        ("cert", "none", "tls.key: expected a PEM file with our key; there is no such file"),
        ("none", "key", "tls.cert: expected a PEM file with our certificate; there is no such file"),
    ],
)
def test_our_certificate_comes_with_its_key(
    authority: Authority, tmp_path: Path, cert: str | None, key: str | None, wrong: str | None, load_text: Load,
    mistakes_in: Mistakes,
) -> None:  # fmt: skip
    """Both or none, files that belong together, and no password that somebody would have to type."""
    paths = files(authority, tmp_path)
    given = [f'{name}: "{paths[value]}"' for name, value in (("cert", cert), ("key", key)) if value is not None]
    text = vpc(more=f', tls: {{ca: "{authority.ca}", {", ".join(given)}}}')
    if wrong is None:
        loaded = load_text(text)
        assert loaded.warnings == ()
        tls = Tls(authority.ca, None, str(paths["cert"]), str(paths["key"]))
        assert loaded.snapshot.sovereign["a"].tls == loaded.snapshot.backends["a"].tls == tls
    else:
        (mistake,) = mistakes_in(text)
        assert wrong in mistake


def test_a_key_that_everybody_may_read_is_warned_of(authority: Authority, tmp_path: Path) -> None:
    """The path may be relative to the file; the mode is what counts."""
    cert, key = authority.client("hybridproxy")
    for path, name in ((cert, "c.pem"), (key, "k.pem")):
        (tmp_path / name).write_bytes(path.read_bytes())
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(vpc(more=f', tls: {{ca: "{authority.ca}", cert: c.pem, key: k.pem}}'))
    for mode, warned in ((0o600, False), (0o640, False), (0o644, True)):
        (tmp_path / "k.pem").chmod(mode)
        assert any("chmod o-r" in warning for warning in load(file, {}).warnings) is warned


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("provider: dashscope, workspace: w", ["site: is required with a workspace: expected one of: beijing, "]),
        (
            "provider: dashscope, site: tokyo, workspace: w, base_url: 'https://h'",
            ["workspace: stands for an address of its own: leave it out, or base_url and endpoints"],
        ),
        ("provider: groq, workspace: w", ["workspace: groq has none: leave this out"]),
        (
            "provider: dashscope, site: tokyo, workspace: trial",
            ["workspace: tokyo has no trial workspace: name your own"],
        ),
        ("provider: dashscope, site: tokyo, workspace: a.b", ["workspace: expected the name of a workspace, such as"]),
        ("provider: dashscope, site: tokyo", ["base_url: is required, or workspace: the address of tokyo is yours"]),
        (
            "provider: dashscope, site: tokyo, base_url: 'https://w.us-east-1.maas.aliyuncs.com'",
            ["base_url: the address of the site virginia, not of the site tokyo"],
        ),
        ("provider: groq, headers: {a: b}", ["headers.a: is no header to add: groq takes none"]),
        (
            "provider: portkey, headers: {x-portkey-config: a, X-Portkey-Config: b, x-portkey-custom-host: c}",
            [
                "headers.X-Portkey-Config: stands here twice",
                "headers.x-portkey-custom-host: is no header to add: expected one of: x-portkey-cache-namespace, ",
            ],
        ),
        ("provider: portkey, headers: {x-portkey-config: ''}", ["x-portkey-config: expected one line of visible"]),
        ("provider: portkey, headers: {'x y': a}", ["expected the name of a header, such as"]),
        ("provider: vlm, headers: {a: b}, workspace: w", ["provider: unknown provider: expected one of: "]),
    ],
)
def test_addresses_and_headers_fit_the_provider(backend: str, expected: list[str], mistakes_in: Mistakes) -> None:
    """A workspace belongs to a site, and a header says something of the account."""
    found = mistakes_in(config(backends=f"{{a: {{{backend}, api_key: '${{KEY}}'}}}}"), {"KEY": "k"})
    assert len(found) == len(expected)
    for mistake, words in zip(found, expected, strict=True):
        assert words in mistake


def test_what_signs_has_two_or_three_parts(mistakes_in: Mistakes) -> None:
    """A key without a colon is shown as it is."""
    bedrock = "{a: {provider: bedrock, site: us-east-1, api_keys: ['${A}', '${B}']}}"
    found = mistakes_in(config(backends=bedrock), {"A": "id:", "B": "id:secret:token:more"})
    assert [one.partition("api_keys")[2] for one in found] == [
        f"[{n}]: expected a key, or ID:SECRET, or ID:SECRET:TOKEN: what signs has two or three parts" for n in (0, 1)
    ]


def test_who_passes_calls_on_is_no_place_of_ones_own(mistakes_in: Mistakes) -> None:
    """LiteLLM on a machine of the VPC still asks somebody else."""
    inside = "{a: {provider: litellm, trust: vpc, base_url: 'https://10.0.0.1', allow_cidrs: [10.0.0.0/8]}}"
    (found,) = mistakes_in(config(backends=inside))
    assert "a.trust: litellm passes calls on: trust: vpc is for servers that answer by themselves" in found
