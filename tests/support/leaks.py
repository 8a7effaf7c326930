"""Configurations that leak, written by hand: each a small change of a sound one, with the reason in words.

`LEAKS` have to be refused, by the words that `says` holds. `POINTED_OUT` may be meant, so they are accepted with a
warning that says so.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


def digest(name: str) -> str:
    """Return the digest of a tenant's key."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


SOUND: Final = f"""\
admin: {{token: "${{ADMIN_TOKEN}}"}}
include: ["tenants.d/*.yaml"]
regions:
  china: {{countries: [CN]}}
  america: {{countries: [US, CA]}}
  europe: {{continents: [EU]}}
  default: {{}}
backends:
  vpc:
    provider: vllm
    trust: vpc
    endpoints: ["https://10.0.3.11:8000", "https://10.0.3.12:8000"]
    allow_cidrs: [10.0.3.0/24]
    promises: {{compute: [DE], storage: [DE], retention: none, evidence: "our own machines in Frankfurt"}}
  singapore: {{provider: dashscope, site: singapore, api_key: "${{DASHSCOPE}}"}}
  together: {{provider: together, api_key: "${{TOGETHER}}"}}
  american: {{provider: openrouter, site: us, api_key: "${{OPENROUTER}}", pin: [deepinfra]}}
  contract:
    provider: openai
    base_url: https://llm.example/v1
    api_key: "${{CONTRACT}}"
    promises: {{compute: [US, CA], storage: [US], retention: 30d, evidence: "DPA of 2026-03-01"}}
models:
  qwen: {{family: qwen3, served_by: {{vpc: q, singapore: q, together: q, american: q, contract: q}}}}
  abroad: {{family: other, served_by: {{singapore: a, together: a}}}}
routes:
  default: {{regions: {{america: [american, contract], default: [[together, american], singapore, contract]}}}}
  asia: {{regions: {{default: [singapore, together]}}}}
tenants:
  shop: {{keys: ["{digest("shop")}"]}}
  bank: {{keys: ["{digest("bank")}"], residency: vpc}}
  clinic: {{keys: ["{digest("clinic")}"], residency: {{compute: [US], storage: [US], retention: none}}}}
  archive: {{keys: ["{digest("archive")}"], residency: {{storage: [SG]}}}}
"""
INCLUDED: Final = f"""\
tenants:
  ministry: {{keys: ["{digest("ministry")}"], residency: {{vpc: true, compute: [EU], retention: none}}}}
"""
ENVIRON: Final = {
    "ADMIN_TOKEN": "admin-token", "DASHSCOPE": "sk-d", "TOGETHER": "sk-t", "OPENROUTER": "sk-o", "CONTRACT": "sk-c",
    "VPC_HOST": "10.0.3.11", "EVIL_HOST": "203.0.114.9", "EVIL_USER": "10.0.3.11:8000@203.0.114.9", "NOTHING": "",
    "WORD": "true", "ALL": "0.0.0.0/0", "SHOP": digest("shop"), "SPACE": " ", "TERMS": "{compute: [US]}",
    "NEWLINE": "vpc\nroute: default",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leak:
    """One configuration.

    Attributes:
        why: what it would let happen.
        before: what stands in the sound one.
        after: what stands in this one.
        says: what a message about it says.
        more: another change, before and after.
        files: files beside the main one.

    """

    why: str
    before: str
    after: str
    says: str
    more: Sequence[tuple[str, str]] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the configuration."""
        text = SOUND
        for before, after in ((self.before, self.after), *self.more):
            assert text.count(before) >= 1, f"{self.why}: {before}"
            text = text.replace(before, after, 1)
        return text


ENDPOINT: Final = "https://10.0.3.11:8000"
CIDRS: Final = "allow_cidrs: [10.0.3.0/24]"
BANK: Final = f'bank: {{keys: ["{digest("bank")}"], residency: vpc}}'
CLINIC: Final = "residency: {compute: [US], storage: [US], retention: none}"


def bank(terms: str) -> str:
    """Return the bank with other terms."""
    return f'bank: {{keys: ["{digest("bank")}"], {terms}}}'


def endpoint(url: str, why: str, says: str, *, cidr: str = "") -> Leak:
    """Return the VPC with a URL in the place of its first one, and perhaps a network for it."""
    more = [(CIDRS, f'allow_cidrs: [10.0.3.0/24, "{cidr}"]')] if cidr else []
    return Leak(why, ENDPOINT, url, says, more)


def cidrs(networks: str, why: str, says: str) -> Leak:
    """Return the VPC with other networks."""
    return Leak(why, CIDRS, f"allow_cidrs: {networks}", says)


URLS: Final = (
    endpoint("https://8.8.8.8:8000", "an address of a stranger", "not within the backend's allow_cidrs"),
    endpoint("https://10.0.4.11:8000", "an address of the network next door", "not within"),
    endpoint("https://vllm.internal:8000", "a name, which whoever runs the DNS points elsewhere", "by its IP address"),
    endpoint("https://10.0.3.11.nip.io", "a name that only looks like the address", "by its IP address"),
    endpoint("https://localhost:8000", "a name that /etc/hosts decides about", "by its IP address"),
    endpoint("https://10.0.3.11:8000@evil.example", "the address is a user's name, the host another", "no user"),
    endpoint("https://${EVIL_USER}", "the same by way of the environment", "no user"),
    endpoint("https://${EVIL_HOST}:8000", "the environment names a stranger", "not within"),
    endpoint("https://2130706433:8000", "an address as one decimal number", "IP address or a host name"),
    endpoint("https://0x0a00030b:8000", "an address in hex", "IP address or a host name"),
    endpoint("https://012.0.3.11:8000", "an address in octal", "IP address or a host name"),
    endpoint("https://10.779:8000", "an address of two numbers", "IP address or a host name"),
    endpoint("https://10.0.3.11.:8000", "a root dot, which makes a name of the address", "IP address or a host name"),
    endpoint("https://１０.0.3.11:8000", "digits of another script", "expected a URL"),
    endpoint("https://10.0.3.11%2eevil.example", "an escaped dot in the host", "IP address or a host name"),
    endpoint("https://10.0.3.11\\\\@evil.example", "a backslash that browsers take for a slash", "expected a URL"),
    endpoint("https://10.0.3.11:8000?@evil.example", "a query", "no user|neither query"),
    endpoint("https://10.0.3.11:8000#@evil.example", "a fragment", "no user|neither query"),
    endpoint("https://10.0.3.11:8000/../v1", "a path that leaves itself", "dotted"),
    endpoint("https://10.0.3.11:0", "no port at all", "port"),
    endpoint("ftp://10.0.3.11", "another protocol", "https://"),
    endpoint("//10.0.3.11:8000", "no protocol", "https://"),
    endpoint("http://10.0.3.11:8000", "plain HTTP, which the network can read and redirect", "plain http"),
    endpoint("https://[::ffff:8.8.8.8]:8000", "a stranger's address, mapped into IPv6", "not within"),
    endpoint("https://[::ffff:0808:0808]:8000", "the same in hex", "not within"),
    endpoint("https://[fd00::1].evil.example", "a name behind the brackets", "the brackets", cidr="fd00::/64"),
    endpoint("https://evil.example[fd00::1]", "a name before the brackets", "the brackets", cidr="fd00::/64"),
    endpoint("https://[fe80::1%25eth0]:8000", "an address with a zone", "IP address or a host name"),
    endpoint("https://[64:ff9b::808:808]", "NAT64: it leads to 8.8.8.8", "carr", cidr="64:ff9b::/96"),
    endpoint("https://[64:ff9b:1::808:808]", "NAT64 of one's own: likewise", "carr", cidr="64:ff9b:1::/48"),
    endpoint("https://[2002:808:808::1]", "6to4: it leads to 8.8.8.8", "carr", cidr="2002::/16"),
    endpoint("https://[2001:0:808:808::1]", "Teredo: by way of 8.8.8.8", "carr", cidr="2001::/32"),
    endpoint("https://[::808:808]", "an IPv4-compatible address", "carr", cidr="::/96"),
)
NETWORKS: Final = (
    cidrs("[0.0.0.0/0]", "every address is inside", "too wide"),
    cidrs("[10.0.0.0/7]", "wider than any private network", "too wide"),
    cidrs('["10.0.3.0/24", "::/0"]', "every IPv6 address is inside", "too wide"),
    cidrs('["10.0.3.0/24", "::ffff:0:0/96"]', "every IPv4 address, mapped into IPv6", "too wide"),
    cidrs('["10.0.3.0/24", "2000::/7"]', "a fourth of the public IPv6 addresses", "too wide"),
    cidrs('["10.0.3.0/24", "2600::/12"]', "most American IPv6 addresses", "too wide"),
    cidrs('["${ALL}"]', "the environment says that every address is inside", "too wide"),
    cidrs("[10.0.3.0/24, 128.0.0.0/1, 0.0.0.0/1]", "every address in two halves", "too wide"),
    cidrs("[10.0.3.0/0]", "a slip of the pen, and every address is inside", "beyond its prefix"),
    cidrs('["10.0.3.0/024"]', "an octal prefix", "after the slash"),
    cidrs('["010.0.3.0/24"]', "an octal network", "not a network"),
    cidrs('["10.0.3.0/255.255.255.0"]', "a netmask", "after the slash"),
    cidrs("[]", "no network: any address is good", "is required"),
    cidrs("~", "the networks were forgotten", "expected a list"),
    cidrs("10.0.3.0/24", "no list", "expected a list"),
    cidrs('["vllm.internal"]', "a name for a network", "not a network"),
    Leak("no networks at all", f"    {CIDRS}\n", "", "is required"),
)
TRUST: Final = (
    Leak("a third party called one's own", "site: singapore,", "site: singapore, trust: vpc,", "third party"),
    Leak("an aggregator called one's own", "site: us,", "site: us, trust: vpc,", "third party"),
    Leak("a third party at an address inside", "provider: vllm", "provider: together", "third party"),
    Leak("an unknown provider", "provider: vllm", "provider: azure", "unknown provider"),
    Leak("another spelling of the word that trusts", "trust: vpc", "trust: VPC", "expected"),
    Leak("trust in a word that does not exist", "trust: vpc", "trust: private", "expected"),
    Leak("the bank has no VPC any more", "    trust: vpc\n", "", "no vpc backend serves"),
    Leak("the VPC lost the bank's models", "served_by: {vpc: q,", "served_by: {", "no vpc backend serves"),
)
TENANTS: Final = (
    Leak("a tenant of an unknown class", BANK, bank("residency: vcp"), "expected vpc"),
    Leak("the class in capitals", BANK, bank("residency: VPC"), "expected vpc"),
    Leak("an own word for a class", BANK, bank("class: sovereign"), "unknown option"),
    Leak("the class was forgotten: the bank would be anybody", BANK, bank("residency: "), "residency"),
    Leak("the class is null", BANK, bank("residency: ~"), "residency"),
    Leak("the class is NULL", BANK, bank("residency: NULL"), "residency"),
    Leak("the class is no", BANK, bank("residency: no"), "expected vpc"),
    Leak("the class is false", BANK, bank("residency: false"), "expected"),
    Leak("the class is empty", BANK, bank("residency: ''"), "expected vpc"),
    Leak("the environment empties the class", BANK, bank('residency: "${NOTHING}"'), "expected vpc"),
    Leak("terms smuggled in as text", BANK, bank('residency: "${TERMS}"'), "expected vpc"),
    Leak("a route smuggled in by a line end", BANK, bank('residency: "${NEWLINE}"'), "expected vpc"),
    Leak("a list of classes", BANK, bank("residency: [vpc]"), "residency"),
    Leak("terms that demand nothing", BANK, bank("residency: {}"), "demands nothing"),
    Leak("a class that is taken back", BANK, bank("residency: {vpc: false}"), "demands nothing"),
    Leak("a class in a text", BANK, bank('residency: {vpc: "${WORD}"}'), "or false"),
    Leak("yes, which YAML 1.2 takes for a word", BANK, bank("residency: {vpc: yes}"), "true or false"),
    Leak("a misspelt term", BANK, bank("residency: {vpc: true, computes: [DE]}"), "unknown option"),
    Leak("a sovereign tenant with a route", BANK, bank("residency: vpc, route: default"), "leave this out"),
    Leak("a sovereign tenant with backends", BANK, bank("residency: vpc, backends: [together]"), "leave this out"),
    Leak("a sovereign tenant without models inside", BANK, bank("residency: vpc, models: [abroad]"), "no vpc backend"),
    Leak("the VPC is not where the bank demands", BANK, bank("residency: {vpc: true, compute: [FR]}"), "no backend"),
    Leak("the backends were forgotten: all of them", 'shop: {keys: ["', 'shop: {backends: , keys: ["', "backends"),
    Leak("a sovereign tenant that shares its key", BANK, bank("residency: vpc").replace(digest("bank"), digest("shop")),
         "belongs to one tenant"),
    Leak("the same key in other letters", BANK,
         bank("residency: vpc").replace(digest("bank"), "sha256:" + digest("shop")[7:].upper()), "belongs to one"),
    Leak("the same key by way of the environment", BANK, bank("residency: vpc").replace(digest("bank"), "${SHOP}"),
         "belongs to one tenant"),
    Leak("a key in clear", BANK, bank("residency: vpc").replace(digest("bank"), "hp_" + "b" * 43), "never a key"),
)  # fmt: skip
TERMS: Final = (
    Leak("nobody computes in Norway", CLINIC, "residency: {compute: [NO]}", "no backend that the tenant may use"),
    Leak("the place of an endpoint is not where it computes", "residency: {storage: [SG]}",
         "residency: {compute: [SG]}, route: asia", "computes anywhere outside mainland China"),
    Leak("together names no place", CLINIC, "residency: {compute: [US]}, backends: [together]", "does not name"),
    Leak("one term by each of two backends, none by both", CLINIC, "residency: {storage: [SG], retention: none}, "
         "backends: [singapore, together]", "no backend that the tenant may use"),
    Leak("kept for longer than allowed", CLINIC, "residency: {retention: 7d}, backends: [contract]", "30 days"),
    Leak("an aggregator whose providers keep what they want", CLINIC + "}", CLINIC + ", backends: [american]}",
         "lets each provider", [(", pin: [deepinfra]", "")]),
    Leak("a country in small letters", CLINIC, "residency: {compute: [us]}", "ISO 3166-1"),
    Leak("a country that is none", CLINIC, "residency: {compute: [UK]}", "ISO 3166-1"),
    Leak("a continent in the place of a country", CLINIC, "residency: {compute: [NAM]}", "ISO 3166-1"),
    Leak("no list of countries", CLINIC, "residency: {compute: US}", "list of ISO"),
    Leak("a list of no countries", CLINIC, "residency: {compute: []}", "list of ISO"),
    Leak("a term that was forgotten", CLINIC, "residency: {compute: [US], storage: }", "storage"),
    Leak("a retention without a unit", CLINIC, "residency: {retention: 30}", "days as in 30d"),
    Leak("a retention of no days", CLINIC, "residency: {retention: 0d}", "days as in 30d"),
    Leak("a retention that YAML reads as a word", CLINIC, "residency: {retention: off}", "days as in 30d"),
    Leak("a promise without evidence", ', evidence: "DPA of 2026-03-01"', "", "is required"),
    Leak("empty evidence", '"DPA of 2026-03-01"', '""', "not empty"),
    Leak("evidence of spaces", '"DPA of 2026-03-01"', '"  "', "not empty"),
    Leak("evidence that the environment empties", '"DPA of 2026-03-01"', '"${SPACE}"', "not empty"),
    Leak("a promise of a place that is none", "compute: [US, CA]", "compute: [Montana]", "ISO 3166-1"),
    Leak("a promise against what the site says of itself", "site: us, ",
         'site: us, promises: {compute: [DE], evidence: "a call"}, ', "openrouter says"),
    Leak("a promise that data leaves a site that keeps it", "site: singapore, ",
         'site: singapore, promises: {storage: [US], evidence: "a call"}, ', "dashscope says"),
    Leak("a site's promise at the address of another site", "site: us, ",
         "site: us, base_url: https://openrouter.ai/api/v1, ", "of openrouter without a site, not of the site us"),
    Leak("a site's promise at anybody's address", "site: us, ", "site: us, base_url: https://llm2.example/v1, ",
         "clinic.*no backend", [(CLINIC + "}", CLINIC + ", backends: [american]}")]),
    Leak("a site's promise at the address of mainland China", "site: singapore, ",
         "site: virginia, base_url: https://dashscope.aliyuncs.com/compatible-mode/v1, ",
         "of the site beijing, not of the site virginia"),
    Leak("pins that nobody at this address has to keep", "site: us, ", "base_url: https://llm2.example/v1, ",
         "clinic.*no backend", [(CLINIC + "}", "residency: {retention: none}, backends: [american]}")]),
)  # fmt: skip
MORE: Final = "  more: {keys: ['" + digest("more") + "'], residency: vpc}\n"
YAML: Final = (
    Leak("the class twice: which holds?", BANK, bank("residency: vpc, residency: {storage: [SG]}"), "a second time"),
    Leak("the tenant twice", "  clinic:", f"  {bank('route: default')}\n  clinic:", "a second time"),
    Leak("the tenants twice", "tenants:\n", "tenants: {}\ntenants:\n", "a second time"),
    Leak("the class twice, once in quotes", BANK, bank('residency: vpc, "residency": {storage: [SG]}'), "second time"),
    Leak("the class twice, once escaped", BANK, bank('residency: vpc, "resid\\u0065ncy": {storage: [SG]}'), "second"),
    Leak("the networks twice", CIDRS, f"{CIDRS}\n    allow_cidrs: [0.0.0.0/1]", "a second time"),
    Leak("a merge key that brings a route", "  shop: {", "  shop: &shop {", "unknown option: .*route|<<",
         [(BANK, bank("<<: *shop, residency: vpc"))]),
    Leak("an alias: the bank is the shop", "  shop: {", "  shop: &shop {", "belongs to one tenant",
         [(BANK, "bank: *shop")]),
    Leak("an alias to nothing", BANK, bank("residency: *vpc"), "no anchor"),
    Leak("a tag that makes a text of the class's absence", BANK, bank("residency: !!null vpc"), "tags"),
    Leak("a tag of Python's", BANK, bank("residency: !!python/none vpc"), "tags"),
    Leak("a second document", BANK, BANK, "second document",
         [("  archive:", "---\n  archive:")]),
    Leak("an old YAML, in which NO is false", "admin:", "%YAML 1.1\n---\nadmin:", "YAML 1.2"),
    Leak("a tab that hides an option", "    trust: vpc", "\ttrust: vpc", "not YAML"),
    Leak("a no-break space that hides the class", BANK, bank("\u00a0residency: vpc"), "unknown option"),
    Leak("a key that looks like the class", BANK, bank("r\u0435sidency: vpc"), "unknown option"),
    Leak("a variable that is not set", BANK, bank('residency: "${UNSET}"'), "has no UNSET"),
    Leak("a default as in a shell", BANK, bank('residency: "${UNSET:-vpc}"'), "begins a reference"),
    Leak("an included file that has the bank again", BANK, BANK, "stands in", (), {
        "tenants.d/bank.yaml": f'tenants: {{bank: {{keys: ["{digest("b2")}"]}}}}'}),
    Leak("an included file that has the bank's key", BANK, BANK, "belongs to one tenant", (), {
        "tenants.d/thief.yaml": f'tenants: {{thief: {{keys: ["{digest("bank")}"]}}}}'}),
    Leak("an included file that has backends", BANK, BANK, "holds tenants and nothing else", (), {
        "tenants.d/x.yaml": "backends: {vpc: {provider: together}}"}),
    Leak("an included file that includes", BANK, BANK, "holds tenants and nothing else", (), {
        "tenants.d/x.yaml": "include: [../other.yaml]"}),
    Leak("an included tenant with a route out of the VPC", BANK, BANK, "leave this out", (), {
        "tenants.d/x.yaml": f'tenants: {{x: {{keys: ["{digest("x")}"], residency: vpc, route: asia}}}}'}),
    Leak("an included tenant whose terms nobody meets", BANK, BANK, "no backend that the tenant may use", (), {
        "tenants.d/x.yaml": f'tenants: {{x: {{keys: ["{digest("x")}"], residency: {{compute: [ZA]}}}}}}'}),
    Leak("an included file that is no YAML", BANK, BANK, "not YAML", (), {"tenants.d/x.yaml": "tenants: {x: ["}),
    Leak("an included file that cannot be found", '"tenants.d/*.yaml"', '"bank.yaml"', "no such file"),
)  # fmt: skip
LEAKS: Final = (*URLS, *NETWORKS, *TRUST, *TENANTS, *TERMS, *YAML)

POINTED_OUT: Final = (
    endpoint("https://11.0.0.11:8000", "a public address: some networks use them inside", "public", cidr="11.0.0.0/8"),
    endpoint("https://[2600:1f18::11]:8000", "a public IPv6 address", "public", cidr="2600:1f18::/33"),
)
