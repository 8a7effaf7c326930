"""`hybridproxy serve`."""

import sys

import typer

from hybridproxy.cli.common import FOUND, ConfigFile, OnPlane, config_path, fail, load_config, refuse


def serve(config: ConfigFile = None, plane: OnPlane = "all") -> None:
    """Serve until SIGTERM; SIGHUP loads the configuration anew.

    With a plane it serves one kind of calls, and has no key and no backend that only the other kind needs.

    Example: hybridproxy serve --config /etc/hybridproxy.yaml --plane sovereign
    """
    from hybridproxy.cli.silence import silence

    silence()  # before anything is imported that makes a TLS context, and before a secret is read

    from hybridproxy.app import run
    from hybridproxy.building import StartError
    from hybridproxy.config.mistakes import ConfigError

    path = config_path(config)
    configuration = load_config(config, plane=plane)
    if configuration.settings.listen.workers not in {None, 1}:
        print("hybridproxy: listen.workers: this version runs one worker", file=sys.stderr)
    try:
        run(path, configuration)
    except ConfigError as error:
        refuse(error)
    except StartError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(FOUND) from None
