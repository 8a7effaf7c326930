# ruff: noqa: E501 - a mistake is one line
from collections.abc import Callable

import pytest

from hybridproxy.config.check import overlap
from hybridproxy.config.settings import Configuration

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]

DIGEST = "sha256:" + "0123456789abcdef" * 4

# Sections that take the place of those of a small configuration, one a line: regions, backends, models, routes, tenants,
# then what it has not. Expected: line:column: path: message.
CASES: list[tuple[dict[str, str], list[str]]] = [
    (
        {"backends": "{a: {}}"},
        ["2:12: backends.a.provider: is required"],
    ),
    (
        {"backends": "{a: {provider: vlm, site: x}}"},
        [
            "2:26: backends.a.provider: unknown provider: expected one of: anthropic, bedrock, cerebras, dashscope, dashscope-native, deepinfra, deepseek, fireworks, gemini, groq, litellm, llama-cpp, novita, openai, openrouter, portkey, sglang, tensorrt-llm, together, tokenmix, vllm; did you mean vllm?"
        ],
    ),
    (
        {"backends": "{a: {provider: sglang, base_url: 'https://h', priority: true}}"},
        ["2:67: backends.a.priority: sglang takes no priority: this is for vllm"],
    ),
    (
        {
            "backends": '{a: {provider: together, api_key: "${TOGETHER_API_KEY}", openai_only: true}, '
            'b: {provider: anthropic, api_key: "${TOGETHER_API_KEY}", openai_only: true}}'
        },
        [
            "2:81: backends.a.openai_only: together speaks nothing else anyway",
            "2:158: backends.b.openai_only: anthropic does not speak it",
        ],
    ),
    (
        {"tenants": f"{{t: {{keys: ['{DIGEST}'], priority: -1}}, u: {{keys: ['{DIGEST[:-1]}0'], priority: 1.5}}}}"},
        [
            "5:108: tenants.t.priority: expected greater than or equal to 0",
            "5:210: tenants.u.priority: expected a whole number",
        ],
    ),
    (
        {"backends": "{a: {provider: vllm}}"},
        ["2:12: backends.a.base_url: is required, or endpoints: vllm is wherever you run it"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", endpoints: ["https://h"]}}'},
        ["2:66: backends.a.endpoints: either base_url or endpoints, not both"],
    ),
    (
        {"backends": '{a: {provider: dashscope, api_key: "${DASHSCOPE_API_KEY}"}}'},
        [
            "2:12: backends.a.site: is required: expected one of: beijing, frankfurt, hongkong, singapore, tokyo, virginia"
        ],
    ),
    (
        {"backends": '{a: {provider: dashscope, site: singapur, api_key: "${DASHSCOPE_API_KEY}"}}'},
        [
            "2:43: backends.a.site: dashscope has no such site: expected one of: beijing, frankfurt, hongkong, singapore, tokyo, virginia; did you mean singapore?"
        ],
    ),
    (
        {"backends": '{a: {provider: dashscope, site: tokyo, api_key: "${DASHSCOPE_API_KEY}"}}'},
        ["2:12: backends.a.base_url: is required, or workspace: the address of tokyo is yours alone"],
    ),
    (
        {"backends": "{a: {provider: together}}"},
        ["2:12: backends.a.api_key: is required for together: write ${NAME} and set it in the environment"],
    ),
    (
        {"backends": "{a: {provider: together, api_key: sk-literal}}"},
        ["2:45: backends.a.api_key: a secret may not stand in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"backends": '{a: {provider: together, api_key: "sk-${TOGETHER_API_KEY}"}}'},
        ["2:45: backends.a.api_key: a secret may not stand in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"backends": '{a: {provider: together, api_keys: ["${TOGETHER_API_KEY}", sk-literal]}}'},
        [
            "2:70: backends.a.api_keys[1]: a secret may not stand in the file: write ${NAME} and set it in the environment"
        ],
    ),
    (
        {"backends": '{a: {provider: together, api_key: "${TOGETHER_API_KEY}", api_keys: ["${TOGETHER_API_KEY}"]}}'},
        ["2:78: backends.a.api_keys: either api_key or api_keys, not both"],
    ),
    (
        {"backends": '{a: {provider: together, api_key: "${TOGETHER_API_KEY} "}}'},
        [
            "2:45: backends.a.api_key: expected ${NAME}, whose value is not empty and has no spaces, line ends or control characters"
        ],
    ),
    (
        {"backends": '{a: {provider: together, api_key: "${NOT_SET}"}}'},
        ["2:45: backends.a.api_key: the environment has no NOT_SET: set it"],
    ),
    (
        {"backends": '{a: {provider: together, api_key: "${NOT-A-NAME}"}}'},
        ["2:45: backends.a.api_key: ${ begins a reference: write ${NAME}, NAME made of letters, digits and _"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "http://10.0.0.1"}}'},
        [
            "2:42: backends.a.base_url: plain http beyond this machine: write https, or insecure: true if the network is trusted"
        ],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "http://localhost"}}'},
        [
            "2:42: backends.a.base_url: plain http beyond this machine: write https, or insecure: true if the network is trusted"
        ],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://u:p@h"}}'},
        ["2:42: backends.a.base_url: a URL takes no user and no password: write the key as api_key"],
    ),
    (
        {"backends": '{a: {provider: vllm, endpoints: ["https://h", "https://h/"]}}'},
        ["2:57: backends.a.endpoints[1]: the endpoint is listed twice"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://10.0.0.1", allow_cidrs: [10.1.0.0/16]}}'},
        ["2:42: backends.a.base_url: the address is not within the backend's allow_cidrs"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", weight: 0}}'},
        ["2:63: backends.a.weight: expected a number above 0 and at most 1000000"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", tls: {ca: no.pem}}}'},
        ["2:65: backends.a.tls.ca: expected a PEM file with the certificates to trust; there is no such file"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", tls: {ca: "' + "x/" * 5000 + '"}}}'},
        [
            "2:65: backends.a.tls.ca: expected a PEM file with the certificates to trust; there is no such file",
        ],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", timeouts: {total: 3s}}}'},
        [
            "2:66: backends.a.timeouts.total: unknown option: expected one of: answer, between_bytes, connect, first_token"
        ],
    ),
    (
        {"backends": "{}"},
        ["2:11: backends: expected at least one backend"],
    ),
    (
        {"backends": '{a: {provider: vllm, base_url: "https://h", insecure: yes}}'},
        ["2:65: backends.a.insecure: expected true or false"],
    ),
    (
        {"backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://10.0.0.1"]}}'},
        ["2:12: backends.a.allow_cidrs: is required for a vpc backend: the networks its addresses have to be in"],
    ),
    (
        {
            "backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://vllm.internal"], allow_cidrs: [10.0.0.0/8]}}'
        },
        [
            "2:56: backends.a.endpoints[0]: a vpc backend is reached by its IP address: a name could be made to point elsewhere (see resolver)"
        ],
    ),
    (
        {
            "backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://10.0.0.1", "https://11.0.0.1"], allow_cidrs: [10.0.0.0/8]}}'
        },
        ["2:76: backends.a.endpoints[1]: the address is not within the backend's allow_cidrs"],
    ),
    (
        {"backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://10.0.0.1"], allow_cidrs: [0.0.0.0/0]}}'},
        ["2:91: backends.a.allow_cidrs[0]: too wide for a private network: expected a prefix of /8 or longer"],
    ),
    (
        {"backends": '{a: {provider: vllm, trust: vpc, endpoints: ["http://10.0.0.1"], allow_cidrs: [10.0.0.0/8]}}'},
        [
            "2:56: backends.a.endpoints[0]: plain http beyond this machine: write https, or insecure: true if the network is trusted"
        ],
    ),
    (
        {
            "backends": '{a: {provider: openrouter, trust: vpc, api_key: "${OPENROUTER_API_KEY}", base_url: "https://10.0.0.1", allow_cidrs: [10.0.0.0/8]}}'
        },
        ["2:45: backends.a.trust: openrouter is a third party: trust: vpc is for servers of your own"],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {b: m}}}"},
        ["3:44: models.m.served_by.b: there is no backend b: expected one of: a"],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {a: 'm*'}}}"},
        ["3:44: models.m.served_by.a: the backend's name holds a * and the model's has none to put there"],
    ),
    (
        {"routes": "{default: {regions: {default: [b]}}}"},
        ["4:40: routes.default.regions.default[0]: there is no backend b: expected one of: a"],
    ),
    (
        {"routes": "{default: {regions: {default: [[a, a]]}}}"},
        ["4:44: routes.default.regions.default[0][1]: a stands in this list twice"],
    ),
    (
        {"routes": "{default: {regions: {asia: [a], default: [a]}}}"},
        ["4:36: routes.default.regions.asia: there is no region asia: expected one of: default"],
    ),
    (
        {"regions": "{asia: {continents: [AS]}}", "routes": "{default: {regions: {asia: [a]}}}"},
        ["4:20: routes.default.regions.default: is required: the backends for regions not listed, [] for none"],
    ),
    (
        {"regions": "{x: {}, default: {}}"},
        ["1:27: regions.default: expected countries or continents: x already takes what no other region does"],
    ),
    (
        {"regions": "{default: {countries: [SG]}}"},
        ["1:20: regions.default: the default region takes what no other does: leave it empty, {}"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], route: fast}}"},
        ["5:105: tenants.t.route: there is no route fast: expected one of: default"],
    ),
    (
        {"routes": "{fast: {regions: {default: [a]}}}"},
        ["5:11: tenants.t.route: is required, as there is no route called default"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], models: [m, n, 'q*']}}"},
        [
            "5:110: tenants.t.models[1]: no model is called so: expected one of: m",
            "5:113: tenants.t.models[2]: no model is called so: expected one of: m",
        ],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], region: asia}}"},
        ["5:106: tenants.t.region: there is no region asia: expected one of: default"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], backends: [b]}}"},
        ["5:109: tenants.t.backends[0]: there is no backend b: expected one of: a"],
    ),
    (
        {"tenants": "{t: {keys: ['%D']}, u: {keys: ['%U']}}"},
        ["5:110: tenants.u.keys[0]: the same key as tenants.t.keys[0]: a key belongs to one tenant"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: vpc}}"},
        ["5:109: tenants.t.residency: no vpc backend serves any of the tenant's models, so it could call nothing"],
    ),
    (
        {
            "backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://10.0.0.1"], allow_cidrs: [10.0.0.0/8]}}',
            "tenants": "{t: {keys: ['%D'], residency: vpc, route: default, backends: [a]}}",
        },
        [
            "5:121: tenants.t.route: the route of a residency: vpc tenant is every vpc backend: leave this out",
            "5:140: tenants.t.backends: the route of a residency: vpc tenant is every vpc backend: leave this out",
        ],
    ),
    (
        {
            "backends": '{a: {provider: dashscope, site: singapore, api_key: "${DASHSCOPE_API_KEY}"}}',
            "tenants": "{t: {keys: ['%D'], residency: {compute: [US, EU]}}}",
        },
        [
            "5:109: tenants.t.residency: no backend that the tenant may use meets it: a computes anywhere outside mainland China; the call may be computed in EU, US only"
        ],
    ),
    (
        {
            "backends": '{a: {provider: vllm, trust: vpc, endpoints: ["https://10.0.0.1"], allow_cidrs: [10.0.0.0/8]}}',
            "tenants": "{t: {keys: ['%D'], residency: {vpc: true, storage: [US]}}}",
        },
        [
            "5:109: tenants.t.residency: no backend that the tenant may use meets it: a does not say where it keeps prompts; the call may be kept in US only"
        ],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: {}}}"},
        [
            "5:109: tenants.t.residency: demands nothing: expected vpc, or as in {compute: [US], storage: [US], retention: none}"
        ],
    ),
    (
        {
            "backends": '{a: {provider: openrouter, api_key: "${OPENROUTER_API_KEY}", promises: {retention: none}}}',
            "tenants": "{t: {keys: ['%D'], residency: {retention: none}}}",
        },
        ["2:72: backends.a.promises.evidence: is required"],
    ),
    (
        {"admin": '{token: "${HYBRIDPROXY_ADMIN_TOKEN}", port: 8080}'},
        ["6:52: admin.port: the admin port may not be the data port"],
    ),
    (
        {"admin": "{token: letmein}"},
        ["6:16: admin.token: a secret may not stand in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"admin": "{}"},
        ["6:1: admin.token: is required"],
    ),
    (
        {"redis": '{url: "redis://:secret@h:1"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "redis://u:secret@h"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "redis://u:se${TOGETHER_API_KEY}cret@h"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "${REDIS_SCHEME}://u:secret@h"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "${REDIS_SCHEME_AND_USER}:secret@h"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "redis+sentinel://u:secret@a:1,b:2/m"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": '{url: "rediss+cluster://${TOGETHER_API_KEY}:secret@a,${REDIS_HOST}:1"}'},
        ["6:14: redis.url: a password stands in the file: write ${NAME} and set it in the environment"],
    ),
    (
        {"redis": "{url: 'redis://a', sentinel_password: secret, tls: {ca: no.pem, name: h}}"},
        [
            "6:46: redis.sentinel_password: a secret may not stand in the file: write ${NAME} and set it in the environment",
            "6:64: redis.tls.ca: there is no TLS in the URL: write rediss, or leave this out",
            "6:78: redis.tls.name: there is no TLS in the URL: write rediss, or leave this out",
        ],
    ),
    (
        {"redis": "{url: 'rediss://a', sentinel_password: '${TOGETHER_API_KEY}', tls: {ca: no.pem, name: h}}"},
        [
            "6:47: redis.sentinel_password: there are no sentinels in the URL: leave this out",
            "6:80: redis.tls.ca: expected a PEM file with the certificates to trust; there is no such file",
        ],
    ),
    (
        {"redis": "{url: 'redis+cluster://a', sentinel_password: '${TOGETHER_API_KEY}'}"},
        ["6:54: redis.sentinel_password: there are no sentinels in the URL: leave this out"],
    ),
    (
        {"redis": "{url: 'redis://a:0', sentinel_password: secret, tls: {ca: no.pem, name: h}}"},
        [
            "6:14: redis.url: expected a port from 1 to 65535 in the URL",
            "6:48: redis.sentinel_password: a secret may not stand in the file: write ${NAME} and set it in the environment",
            "6:66: redis.tls.ca: expected a PEM file with the certificates to trust; there is no such file",
        ],
    ),
    (
        {"breaker": "{open_for: 20s, open_max: 10s}"},
        ["6:36: breaker.open_max: is 10s, which is less than open_for, 20s: it is what bounds it"],
    ),
    (
        {"breaker": "{open_for: 20s}"},
        ["6:1: breaker.open_max: is 15s, which is less than open_for, 20s: it is what bounds it"],
    ),
    (
        {"breaker": "{open_max: 1500ms}"},
        ["6:21: breaker.open_max: is 1.5s, which is less than open_for, 5s: it is what bounds it"],
    ),
    (
        {"breaker": "{open_for: long, open_max: 1s}"},
        [
            "6:21: breaker.open_for: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h",
        ],
    ),
    (
        {"breaker": "{open_for: 20s, open_max: 0s}"},
        ["6:36: breaker.open_max: expected a duration longer than 0"],
    ),
    (
        {"backends": "{a: {provider: vllm, base_url: 'https://h', region: asia}}"},
        ["2:63: backends.a.region: there is no region asia: expected one of: default"],
    ),
    (
        {"backends": "{a: {provider: vllm, base_url: 'https://h', region: default}}"},
        ["2:63: backends.a.region: default is no place but what no other region has: name one, or leave this out"],
    ),
    (
        {
            "regions": "{asia: {continents: [AS]}, rest: {}}",
            "backends": "{a: {provider: vllm, base_url: 'https://h', region: rest}}",
        },
        ["2:63: backends.a.region: rest is no place but what no other region has: name one, or leave this out"],
    ),
    (
        {
            "regions": "{asia: {continents: [XX]}, default: {}}",
            "backends": "{a: {provider: vllm, base_url: 'https://h', region: asia}}",
        },
        ["1:31: regions.asia.continents[0]: expected a continent's code: AF, AN, AS, EU, NA, OC, SA"],
    ),
]


@pytest.mark.parametrize(("sections", "expected"), CASES)
def test_what_does_not_fit_together_is_refused_in_its_place(
    sections: dict[str, str], expected: list[str], config: Config, mistakes_in: Mistakes
) -> None:
    """Each broken reference and each broken rule over several options is shown with its place and what to do."""
    text = config(**sections).replace("%D", DIGEST).replace("%U", DIGEST.upper().replace("SHA", "sha"))
    assert mistakes_in(text) == [f"hybridproxy.yaml:{line}" for line in expected]


VPC = '{a: {provider: vllm, trust: vpc, endpoints: ["%s"], allow_cidrs: ["%s"]}}'


@pytest.mark.parametrize(
    "sections",
    [
        {"backends": '{a: {provider: vllm, base_url: "http://10.0.0.1", insecure: true}}'},
        {"backends": '{a: {provider: vllm, base_url: "http://[::1]:8000"}}'},
        {"backends": VPC % ("https://[fd00::1]:8000", "fd00::/8")},
        {
            "backends": VPC % ("https://10.0.0.1", "10.0.0.0/8"),
            "tenants": '{t: {keys: ["%D"], residency: vpc, models: ["m*"]}}',
        },
        {
            "models": "{'qwen*': {family: qwen3, served_by: {a: 'Qwen/*'}}}",
            "tenants": '{t: {keys: ["%D"], models: ["qwen3-8b", "q*b"]}}',
        },
        {
            "routes": "{default: {regions: {default: [a]}}, fast: {regions: {default: [a]}}}",
            "tenants": '{t: {keys: ["%D"], route: fast, backends: [a]}}',
        },
        {"admin": '{token: "${HYBRIDPROXY_ADMIN_TOKEN}", port: 8080}', "listen": "{host: 10.0.0.1}"},
        {"redis": '{url: "rediss://user:${TOGETHER_API_KEY}@redis:6379/0"}'},
        {"redis": "{url: redis://redis:6379}"},
        {"redis": '{url: "${REDIS_URL}"}'},
        {"redis": '{url: "redis://${TOGETHER_API_KEY}:${TOGETHER_API_KEY_2}@h"}'},
        {"redis": "{url: redis://user@h}"},
        {"redis": '{url: "redis+sentinel://:${TOGETHER_API_KEY}@a:1,b:2/m", sentinel_password: "${TOGETHER_API_KEY}"}'},
        {"redis": "{url: 'rediss+cluster://a:1,b', tls: {name: redis.internal}}"},
        {"breaker": "{open_for: 5m, open_max: 5m}"},
        {"breaker": "{}"},
        {
            "regions": "{asia: {continents: [AS]}, default: {}}",
            "backends": "{a: {provider: vllm, base_url: 'https://h', region: asia}}",
        },
        {"listen": "{tls: ~}"},
    ],
)
def test_what_fits_together_is_accepted(sections: dict[str, str], config: Config, load_text: Load) -> None:
    """The rules refuse no more than they have to."""
    assert load_text(config(**sections).replace("%D", DIGEST)).snapshot.backends


def test_a_public_address_in_the_vpc_is_accepted_with_a_warning(config: Config, load_text: Load) -> None:
    """Some private networks use public addresses; a slip of the pen looks the same, so it is pointed out."""
    loaded = load_text(config(backends=VPC % ("https://11.0.0.1", "11.0.0.0/8")))
    (warning,) = [line for line in loaded.warnings if "a public address" in line]
    assert warning.endswith(
        "hybridproxy.yaml:2:56: backends.a.endpoints[0]: "
        "a public address for a vpc backend: make sure that it is a machine of yours"
    )


KEYS = [DIGEST[:-1] + digit for digit in "01"]


@pytest.mark.parametrize(
    ("provider", "tenants", "says"),
    [
        (
            "vllm",
            "{t: {keys: ['KEY0'], priority: 1}}",
            "tenants.t.priority: no backend has priority: true, so this does",
        ),
        ("vllm, priority: true", "{t: {keys: ['KEY0'], priority: 1}}", ""),
        (
            "tensorrt-llm",
            "{t: {keys: ['KEY0']}, u: {keys: ['KEY1']}}",
            "tensorrt-llm cannot keep tenants' prefix caches apart",
        ),
        ("tensorrt-llm", "{t: {keys: ['KEY0']}}", ""),
        ("sglang", "{t: {keys: ['KEY0']}, u: {keys: ['KEY1']}}", ""),
    ],
)
def test_what_an_engine_cannot_do_is_pointed_out(
    config: Config, load_text: Load, provider: str, tenants: str, says: str
) -> None:
    """A priority nobody goes by, and a cache that tenants share."""
    backends = f"{{a: {{provider: {provider}, base_url: 'http://127.0.0.1:1'}}}}"
    for place, key in enumerate(KEYS):
        tenants = tenants.replace(f"KEY{place}", key)
    warnings = load_text(config(backends=backends, tenants=tenants)).warnings
    assert [says in warning for warning in warnings] == ([True] if says else [])


TOGETHER = "{a: {provider: together, api_key: '${TOGETHER_API_KEY}'}, b: {provider: %s, base_url: 'https://h'}}"


@pytest.mark.parametrize(
    ("provider", "regions", "idle"),
    [
        ("openai", "{default: [a, b]}", True),
        ("openai", "{default: []}", True),
        ("vllm", "{default: [a]}", True),
        ("vllm", "{default: [[a, b]]}", False),
        ("vllm", "{default: [a], asia: [b]}", False),
    ],
)
def test_resuming_where_nobody_can_go_on_is_pointed_out(
    provider: str, regions: str, idle: bool, config: Config, load_text: Load
) -> None:
    """A provider that does not document how to continue an answer makes `resume` an empty word."""
    text = config(
        regions="{asia: {continents: [AS]}, default: {}}",
        backends=TOGETHER % provider,
        routes=f"{{default: {{on_cut: [replay, resume], regions: {regions}}}}}",
    )
    expected = "4:28: routes.default.on_cut: none of the route's backends can continue an answer: resume does nothing"
    warnings = [warning.partition("hybridproxy.yaml:")[2] for warning in load_text(text).warnings]
    assert warnings == ([expected] if idle else [])
    assert load_text(text.replace(", resume", "")).warnings == ()


def test_a_gateway_without_tenants_says_that_nobody_may_call(config: Config, load_text: Load) -> None:
    """An empty list of tenants is legal before the first one moves in."""
    (warning,) = load_text(config(tenants="{}")).warnings
    assert warning.endswith(":1:1: there are no tenants, so nobody may call")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("*", "qwen3", True),
        ("qwen3", "qwen3", True),
        ("qwen3", "qwen2", False),
        ("q*3", "qwen3", True),
        ("qwen3", "q*4", False),
        ("q?en[3]*", "qwen3", False),
        ("qwen*", "q*b", True),
        ("qwen*", "deep*", False),
        ("*a", "*b", False),
    ],
)
def test_patterns_overlap_when_a_name_can_fit_both(one: str, other: str, expected: bool) -> None:
    """Whether a tenant's pattern can mean a model, wildcard models included."""
    assert overlap(one, other) is overlap(other, one) is expected


@pytest.mark.parametrize(
    ("keys", "warned"), [('["${TOGETHER_API_KEY}"]', 0), ('["${TOGETHER_API_KEY}", "${TOGETHER_API_KEY_2}"]', 1)]
)
def test_limits_of_several_keys_are_warned_of(config: Config, load_text: Load, keys: str, warned: int) -> None:
    """They hold for each key; of one account, all of them together would overrun its quota."""
    backends = f"{{a: {{provider: together, api_keys: {keys}, limits: {{rpm: 600}}}}}}"
    warnings = load_text(config(backends=backends)).warnings
    assert sum("keys of one account share one quota" in warning for warning in warnings) == warned
    without = backends.replace(", limits: {rpm: 600}", "")
    assert not any("one quota" in warning for warning in load_text(config(backends=without)).warnings)
