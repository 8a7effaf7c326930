"""`hybridproxy check`."""

from hybridproxy.cli.common import AsJson, ConfigFile, OnPlane, config_path, load_config, open_database, print_json


def check(config: ConfigFile = None, plane: OnPlane = "all", json: AsJson = False) -> None:
    """Check a configuration file and list every mistake as file:line:column.

    With a plane: whether such a process could start here, which does not read the keys of the other one.

    Example: hybridproxy check --config hybridproxy.yaml
    """
    from hybridproxy.catalogue.offers import unpriced_warning

    configuration = load_config(config, json_output=json, plane=plane)
    open_database(configuration.settings.geo.database)
    snapshot, offers = configuration.snapshot, configuration.offers
    counts = {
        "backends": len(snapshot.backends),
        "models": len(snapshot.models),
        "routes": len(snapshot.routes),
        "tenants": len(snapshot.tenants),
        "sovereign_tenants": sum(tenant.sovereign for tenant in snapshot.tenants.values()),
    }
    here = snapshot.backends.keys() | snapshot.sovereign.keys()  # a plane may lack some
    priceless = unpriced_warning(offer for offer in offers if offer.backend in here)
    warnings = [*configuration.warnings, *([] if priceless is None else [priceless])]
    if json:
        print_json({"ok": True, **counts, "warnings": warnings})
        return
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{config_path(config)}: fine; " + ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()))
