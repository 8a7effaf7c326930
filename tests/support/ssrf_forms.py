"""S4: ways to write, or to be told, an address that a sovereign call must not reach. One table for all the tests."""

from typing import Any

NETWORK = "10.0.3.0/24"
"""What the backend of these tests may reach."""

DISGUISED = (
    # what inet_aton, browsers or some resolvers make an address of
    "2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1",
    "127.0.0.0x1", "00000177.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518", "0xA9FEA9FE", "025177524776", "134744072", "0x08080808", "8.8.2056", "010.0.3.1", "10.0.769",
    "167772929", "0xa000301", "10.0.3.1.", "0", "0.0", "00", "0x0", "127.0.0.1.", "1.", "4294967296", "127.0.0.256",
    # what looks like digits or dots and is none
    "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "127.0.0.1%00", "127.0.0.1%2f", "%31%32%37.0.0.1", "127.0.0.1\t",
    " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "127.0.0.1\0", "10.0.3.1@127.0.0.1", "10.0.3.1#@127.0.0.1",
    "10.0.3.1\\@127.0.0.1", "[::1%lo]", "[::1%25lo]", "[127.0.0.1]", "[::ffff:127.1]", "[0:0:0:0:0:0:0:0:1]",
)  # fmt: skip
"""Hosts that are no plain address: refused as such, whatever they would lead to."""

OUTSIDE = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.0.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "8.8.8.8", "10.0.2.255", "10.0.4.0", "192.168.0.1", "172.16.0.1", "224.0.0.1",
    "255.255.255.255", "198.18.0.1", "100.64.0.1",
    "::", "::1", "fe80::1", "fd00:ec2::254", "fd00::1", "ff02::1", "2001:4860:4860::8888",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "::127.0.0.1", "::8.8.8.8",
    "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::",
    "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7", "2001:0:a00:301::f7f7:f7f7",
    # what they carry is inside the networks, and they are not
    "64:ff9b::10.0.3.1", "64:ff9b:1::10.0.3.1", "2002:a00:301::1", "::10.0.3.1", "2001:0:a00:301::f5ff:fcfe",
)  # fmt: skip
"""Addresses, as literals and as answers of a name server: outside the networks, or leading there."""

WIDE = ("::/0", "0.0.0.0/0")
"""Networks that hold nearly everything; those below are not meant by them."""

NEVER_MEANT = (
    "0.0.0.0", "::", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
    "100.100.100.200", "fd00:ec2::254", "fe80::1", "224.0.0.1", "255.255.255.255", "ff02::1", "::169.254.169.254",
    "64:ff9b:1::169.254.169.254", "64:ff9b::", "2002::1", "2001:0:a9fe:a9fe::f7f7:f7f7",
)  # fmt: skip


def fields(url: str) -> list[dict[str, Any]]:
    """Return what a caller may put into its call to have somebody else asked, or something fetched."""
    message = {"role": "user", "content": "look there"}
    image = {"type": "image_url", "image_url": {"url": url}}
    return [
        *({name: url} for name in (
            "api_base", "base_url", "api_url", "endpoint", "url", "host", "webhook", "callback", "callback_url",
            "webhook_url", "proxy", "https_proxy", "custom_llm_provider", "deployment", "azure_endpoint",
            "openai_api_base", "target", "upstream", "redirect", "vertex_location", "mock_response",
            "aws_bedrock_runtime_endpoint",
        )),
        {"extra_body": {"api_base": url}}, {"extra_headers": {"host": url}}, {"litellm_params": {"api_base": url}},
        {"metadata": {"callback": url}}, {"fallbacks": [{"api_base": url, "model": "qwen"}]}, {"models": [url]},
        {"provider": {"only": [url]}}, {"plugins": [{"id": "web", "url": url}]}, {"client": {"base_url": url}},
        {"router": {"url": url}}, {"config": {"targets": [{"custom_host": url}]}}, {"documents": [url]},
        {"messages": [{"role": "user", "content": [image]}]}, {"messages": [{**message, "url": url}]},
    ]  # fmt: skip


def headers(url: str, authority: str) -> list[dict[str, str]]:
    """Return headers by which some proxy chooses where to go."""
    return [
        *({name: url} for name in (
            "x-original-url", "x-rewrite-url", "x-forwarded-url", "x-portkey-custom-host", "helicone-target-url",
            "x-upstream", "x-target", "x-api-base", "x-base-url", "referer", "origin", "destination",
            "x-http-destinationurl", "x-proxy-url", "proxy", "x-wap-profile", "true-client-url",
        )),
        *({name: authority} for name in (
            "x-forwarded-host", "x-forwarded-server", "x-host", "x-backend", "x-hybridproxy-backend", "forwarded",
        )),
        {"host": authority}, {"x-portkey-config": '{"custom_host":"' + url + '"}'}, {"via": f"1.1 {authority}"},
    ]  # fmt: skip
