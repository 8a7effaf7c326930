"""`hybridproxy residency`."""

import random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, load_config, print_json, progress

if TYPE_CHECKING:
    from hybridproxy.residency.proof import Proof

app = typer.Typer(help="Where calls may go.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Where calls may go, proved from the configuration."""


@app.command()
def prove(
    config: ConfigFile = None,
    ways: Annotated[bool, typer.Option("--ways", help="List the ways that are open, too.")] = False,
    json: AsJson = False,
) -> None:
    """Plan every case of a configuration, with every combination of failing backends, and judge each plan.

    Ends with status 1 and the shortest way to it when a call could reach what its tenant's residency does not allow.

    Example: hybridproxy residency prove --config hybridproxy.yaml --ways
    """
    from hybridproxy.residency.policy import policy_hash
    from hybridproxy.residency.proof import prove as prove_all

    snapshot = load_config(config, json_output=json).snapshot
    rng = random.Random(0)  # noqa: S311 - what is sampled has to be the same again
    with progress("proving") as step:
        proof = prove_all(snapshot, rng, step=lambda _done, of: step(1, of))
    result = _listed(proof, policy_hash(snapshot))
    if json:
        print_json(result)
    else:
        _print(result, ways=ways)
    if proof.violations:
        raise typer.Exit(FOUND)


def _listed(proof: "Proof", policy: str) -> dict[str, Any]:
    return {
        "ok": not proof.violations,
        "policy": policy,
        "cases": proof.cases,
        "tenants": proof.tenants,
        "kinds_of_tenants": proof.kinds,
        "failures": "sampled" if proof.sampled else "all",
        "violations": [str(violation) for violation in proof.violations],
        "ways": [
            {
                "tenants": way.tenants,
                "demand": way.demand,
                "backend": way.backend,
                "addresses": list(way.addresses),
                "computes": way.promise.computes,
                "stores": way.promise.stores,
                "retains": way.promise.retains,
                "evidence": way.promise.evidence,
                "dated": way.promise.dated,
            }
            for way in proof.ways
        ],
    }


def _print(result: dict[str, Any], *, ways: bool) -> None:
    print(f"policy      sha256:{result['policy']}")
    print(f"tenants     {result['tenants']}, of {result['kinds_of_tenants']} kinds")
    print(f"cases       {result['cases']}, with {result['failures']} combinations of failing backends")
    print(f"ways out    {len(result['ways'])}")
    for way in result["ways"] if ways else ():
        print(f"  {way['backend']} ({', '.join(way['addresses'])}): {way['tenants']} tenants, demand: {way['demand']}")
        since = f" of {way['dated']}" if way["dated"] else ""
        print(f"    {way['computes']}; {way['stores']}; {way['retains']}")
        print(f"    by {way['evidence']}{since}" if way["evidence"] else "    nobody's word for it")
    print(f"violations  {len(result['violations'])}")
    for violation in result["violations"]:
        print(f"  {violation}")
