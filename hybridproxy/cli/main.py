"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

import typer

from hybridproxy.cli import (
    audit,
    check,
    demo,
    explain,
    geo,
    key,
    models,
    orders,
    reload,
    residency,
    serve,
    simulate,
    state,
    usage,
)

app = typer.Typer(
    help="One endpoint for Qwen in Asia, North America and your own VPC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, simulate, serve, check, explain, geo, models, reload, state, usage):
    app.command()(getattr(module, module.__name__.rpartition(".")[2]))
for order in orders.ORDERS:
    app.command()(order)
app.add_typer(key.app, name="key")
app.add_typer(residency.app, name="residency")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run a command."""
    app()


if __name__ == "__main__":
    main()
