"""What the pages name is there, and what is there to be seen from outside is named in a page."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import orjson
import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from hybridproxy.admin.server import admin_app
from hybridproxy.cli.main import app
from hybridproxy.config.load import load
from hybridproxy.gateway import admission, reply
from hybridproxy.gateway.operator import ORDERS, Operator
from hybridproxy.model.fault import FACTS
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.sites import SITES
from hybridproxy.resilience.shedding import Shed
from hybridproxy.telemetry.metrics import Metrics
from tests.meta.project import ROOT, project_files

PAGES = [path for path in project_files() if path.suffix == ".md"]
MANUAL = "\n".join((ROOT / path).read_text() for path in PAGES if path.parent.name == "docs")
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
SOURCES = [
    path
    for path in project_files()
    if path.suffix == ".py" and path.parts[0] == "hybridproxy" and path.parts[1] not in {"simulator", "demo"}
]
EVENT = re.compile(
    r"(audit|backend|breaker|budgets|call|config|credential|egress|ledger|log|redis|region|server|shedding|upstream_limit)"
    r"\.[a-z_]+"
)
WRITTEN_AS = {"breaker.opened", "breaker.half_opened", "breaker.closed"}
"""Events whose names are put together."""


@cache
def nodes() -> tuple[tuple[Path, ast.AST], ...]:
    """Everything in the sources."""
    return tuple((path, node) for path in SOURCES for node in ast.walk(ast.parse((ROOT / path).read_text())))


def text_of(node: ast.expr | None) -> str:
    """The text that stands there, "" where it is anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def texts() -> Iterator[str]:
    """Every text in the sources."""
    return (node.value for _, node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str))


def metrics() -> set[str]:
    """Every metric, by the name that Prometheus stores."""
    kinds = {family.name: family.type for family in Metrics(dict).collect()}
    gauges = {text for text in texts() if re.fullmatch(r"hybridproxy_[a-z_]+[a-z]", text)} - kinds.keys()
    gauges |= {f"hybridproxy_shed_{reason.value}" for reason in Shed}
    return gauges | {f"{name}_total" if kind == "counter" else name for name, kind in kinds.items()}


def events() -> set[str]:
    """Every event of the log."""
    called = {
        text_of(node.args[0])
        for _, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"_log", "event"}
        and node.args
    }
    called = {name for name in called if "." in name and not name.startswith("response.")}  # these are OpenAI's
    named = {"call.finished", "credential.quarantined", "credential.released", "log.dropped"}
    return called | named | {row.event for row in ORDERS.values()} | WRITTEN_AS


def codes() -> set[str]:
    """Every code of an error that a caller may get from us, by the word that OpenAI's dialect has for it."""
    given = {
        text_of(keyword.value)
        for path, node in nodes()
        if path.parts[1] in {"dialects", "gateway", "ingress"} and isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code"
    } - {""}
    refusals = {code for _, code in (*reply._REFUSALS.values(), *admission._SAID.values())}
    return given | refusals | {row.code for row in FACTS.values()} | {"too_complex"}  # of bodies, by dialects.limits


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can lead to, as GitHub names them."""
    found: dict[str, int] = {}
    places = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        places.add(name if name not in found else f"{name}-{found[name]}")
        found[name] = found.get(name, 0) + 1
    return places


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link within the project leads to a file that is there, and to a heading that is in it."""
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        name, _, place = link.partition("#")
        if "://" in link:
            continue
        target = (ROOT / page.parent / name).resolve() if name else ROOT / page
        if not target.exists() or (place and place not in anchors(target)):
            lost.append(link)
    assert not lost


def test_every_metric_is_named() -> None:
    """Whoever sees a metric can look it up, and whoever reads of one can find it."""
    made = metrics()
    assert len(made) > 50
    named = set(re.findall(r"`(hybridproxy_[a-z_]+[a-z])(?:\{[^}]*\})?`", MANUAL))
    listed = named | set(re.findall(r"`(hybridproxy_[a-z_]+[a-z])(?:\{[^}]*\})?`", REFERENCE))
    assert sorted(made - listed) == []
    assert sorted(listed - made) == []


def test_every_event_is_named() -> None:
    """Whoever sees an event in the log can look it up, and every event of the list is one that is logged."""
    logged = events()
    assert len(logged) > 30
    log = REFERENCE.partition("## The log\n")[2]
    listed = {name for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", log) if EVENT.fullmatch(name)}
    assert sorted(logged - listed) == []
    assert sorted(listed - logged) == []


def test_every_code_is_named() -> None:
    """An error's code is in the list, and every code in the list is one that may come."""
    made = codes()
    assert len(made) > 40
    table = REFERENCE.partition("| Codes |\n")[2].partition("\nFor sovereign calls")[0]
    listed = set(re.findall(r"`([a-z_]+)`", table)) - {"total"}  # an option
    assert sorted(made - listed) == []
    assert sorted(listed - made) == []


def test_every_header_of_ours_is_named() -> None:
    """What begins with our name in a request or an answer is explained."""
    ours = {text for text in texts() if re.fullmatch(r"x-hybridproxy-[a-z]+", text)}
    assert len(ours) > 7
    assert ours == set(re.findall(r"`(x-hybridproxy-[a-z]+)", REFERENCE))


def test_every_path_of_the_admin_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the admin port answers is in the list."""
    operator = Operator.__new__(Operator)
    made = admin_app(token="t", metrics=bytes, explain=dict, reload=list, operator=operator)  # type: ignore[arg-type]
    paths = {str(resource.canonical) for resource in made.router.resources()}
    table = REFERENCE.partition("## The admin port\n")[2].partition("\n## ")[0]
    missing = [path for path in paths if path not in table and f"`/{path.rpartition('/')[2]}`" not in table]
    assert not missing


def test_every_command_is_named() -> None:
    """Each command stands in the README or in the manual, with what it is for."""
    group = get_command(app)
    text = (ROOT / "README.md").read_text() + MANUAL
    words = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        words += [f"{name} {sub}" for sub in getattr(command, "commands", ())] or [name]
    assert len(words) > 18
    assert [word for word in words if not re.search(rf"(hybridproxy |`|\b){word}\b", text)] == []


def test_every_provider_and_site_is_named() -> None:
    """An operator finds each provider and its sites, and what each third party says of where it computes."""
    configuration = (ROOT / "docs" / "configuration.md").read_text()
    sovereignty = (ROOT / "docs" / "sovereignty.md").read_text()
    table = configuration.partition("### Providers\n")[2].partition("\n\nA backend with")[0]
    words = [name for row in PROVIDERS.values() for name in (row.name, *row.sites) if name]
    assert len(words) > 30
    assert [word for word in words if f"`{word}`" not in table] == []
    parties = {provider.removesuffix("-native") for provider, _ in SITES}
    sites = sovereignty.partition("| Site | Computes | Keeps |\n")[2].partition("\n\n")[0].lower()
    assert [party for party in sorted(parties) if party not in sites] == []


def test_what_is_said_of_the_ledgers_truth_is_what_was_measured() -> None:
    """The figures of a budget owner's page are those of the last full run of M1."""
    results = map(orjson.loads, (ROOT / "tests" / "acceptance" / "results.jsonl").read_bytes().splitlines())
    (measured,) = (result["measured"] for result in results if result["id"] == "M1")
    page = (ROOT / "docs" / "limits-and-costs.md").read_text()
    table = page.partition("Measured on ")[2].partition("|---|---|\n")[2].partition("\n\n")[0]
    told = set(re.findall(r"\d+", table.replace(",", "").replace(" %", "0%")))
    assert len(told) > 20
    found = set(re.findall(r"\d+", measured.replace(",", "")))
    assert told <= found, "write the figures of the last run into docs/limits-and-costs.md"


YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BASE = """
backends:
  dashscope-sg: {provider: dashscope, site: singapore, api_key: "${KEY}"}
  together-us: {provider: together, api_key: "${KEY}"}
  vpc: {provider: vllm, trust: vpc, endpoints: ["http://127.0.0.1:9104"], allow_cidrs: [127.0.0.0/8], insecure: true}
models: {qwen3: {family: qwen3, served_by: {dashscope-sg: a, together-us: b, vpc: c}}}
routes: {default: {regions: {default: [dashscope-sg, together-us]}}}
tenants: {shop: {keys: ["sha256:%s"]}}
""" % ("0" * 64)


def snippets() -> Iterator[tuple[str, str]]:
    """Every piece of a configuration in the pages, with where it stands."""
    for path in PAGES:
        for number, text in enumerate(YAML_BLOCK.findall((ROOT / path).read_text())):
            yield f"{path}-{number}", text


@pytest.mark.parametrize("text", [text for _, text in snippets()], ids=[name for name, _ in snippets()])
def test_every_piece_of_configuration_is_taken(text: str, tmp_path: Path) -> None:
    """What is copied out of a page loads as it stands; a part of a file, in a whole one."""
    yaml = YAML(typ="safe", pure=True)
    piece = yaml.load(text)
    overlay = "dated" in piece
    whole = yaml.load(BASE) | ({"catalogue": "overlay.yaml"} if overlay else piece)
    if "backends" in piece and "models" not in piece:
        whole["backends"] = yaml.load(BASE)["backends"] | piece["backends"]
    if overlay:
        whole["backends"]["openrouter-us"] = {"provider": "openrouter", "api_key": "${KEY}"}
        (tmp_path / "overlay.yaml").write_text(text)
    file = tmp_path / "hybridproxy.yaml"
    if "tenants" in piece:
        file.write_text(text)
    else:
        with file.open("w") as out:
            yaml.dump(whole, out)
    keys = {name: f"key-of-{name.lower()}" for name in re.findall(r"\$\{(\w+)\}", text + BASE)}
    loaded = load(file, keys)
    assert [w for w in loaded.warnings if "called so" in w] == []
