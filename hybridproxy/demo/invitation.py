"""What is printed when the tour is over: lines to copy and paste."""

from collections.abc import Iterator

from hybridproxy.demo.ports import HOST, Ports
from hybridproxy.demo.tour import SINGAPORE, TORONTO
from hybridproxy.demo.workspace import Workspace


def invitation(ports: Ports, workspace: Workspace, model: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the blocks to print, each with what it shows."""
    root = f"http://{HOST}:{ports.data}"
    admin = f"http://{HOST}:{ports.admin}"
    broken = f"http://{HOST}:{ports.upstreams['together-us']}/_sim/behaviour"
    yield "keys and paths for the lines below (any POSIX shell)", (f". {workspace.shell_file}",)
    yield (
        "what the proxy knows of its backends; end the ramp of dashscope-sg at once",
        ("hybridproxy state", "hybridproxy reset dashscope-sg"),
    )
    yield "a caller in Singapore, by curl", (_curl(root, "SHOP", SINGAPORE.address, model),)
    yield "the bank, from Toronto", (_curl(root, "BANK", TORONTO.address, model),)
    yield (
        "the official client",
        (
            "python - <<'END'",
            "import os",
            "from openai import OpenAI",
            f'client = OpenAI(base_url="{root}/v1", api_key=os.environ["SHOP_KEY"])',
            f'call = {{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}',
            f'here = {{"x-forwarded-for": "{TORONTO.address}"}}',
            "print(client.chat.completions.create(**call, extra_headers=here).choices[0].message.content)",
            "END",
        ),
    )
    yield (
        "why would it go there; where is an address",
        (
            f"hybridproxy explain --tenant shop --model {model} --from {TORONTO.address}",
            f"hybridproxy geo {HOST} --header {SINGAPORE.address}",
        ),
    )
    yield (
        "break a US backend; mend it",
        (
            f'curl -X PUT {broken} -d \'{{"fault": {{"kind": "status", "status": 503}}}}\'',
            f"curl -X DELETE {broken}",
        ),
    )
    yield (
        "change the configuration while it runs",
        (f"${{EDITOR:-vi}} {workspace.config} && hybridproxy reload",),
    )
    yield "metrics", (f'curl -s {admin}/metrics -H "Authorization: Bearer $HYBRIDPROXY_ADMIN_TOKEN"',)
    yield "one line of JSON for each call", (f"tail -n 5 {workspace.log('proxy')}",)


def _curl(root: str, tenant: str, address: str, model: str) -> str:
    return " \\\n  ".join(
        (
            f"curl -isN {root}/v1/chat/completions",
            f'-H "Authorization: Bearer ${tenant}_KEY" -H "x-forwarded-for: {address}"',
            '-H "x-hybridproxy-explain: 1" -H "Content-Type: application/json"',
            f'-d \'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}\'',
        )
    )
