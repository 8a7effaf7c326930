"""The JSON Schema of the configuration, for editors: `python -m hybridproxy.config.json_schema > docs/schema.json`."""

import json
import sys
from typing import Any

from hybridproxy.config.schema import ConfigurationFile


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the configuration file.

    It knows types, names and bounds. What has to fit together, `hybridproxy check` tells.
    """
    schema = ConfigurationFile.model_json_schema(mode="validation")
    _close(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _close(node: Any) -> None:
    """Refuse names that do not fit their pattern, which pydantic's schema lets through."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def rendered() -> str:
    """Return the schema as it stands in docs/schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rendered())
