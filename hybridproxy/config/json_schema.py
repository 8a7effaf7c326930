"""The JSON Schema of the configuration, for editors: `python -m hybridproxy.config.json_schema > docs/schema.json`."""

import json
import sys
from typing import Any, Final

from hybridproxy.config.schema import ConfigurationFile


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the configuration file.

    It knows types, names and bounds. What has to fit together, `hybridproxy check` tells.
    """
    schema = ConfigurationFile.model_json_schema(mode="validation")
    _close(schema)
    _open(schema)
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


VARIABLE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"


def _open(node: Any) -> None:
    """Let every text be, or hold, a variable of the environment, which stands there until the file is loaded."""
    if isinstance(node, list):
        for value in node:
            _open(value)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name != "propertyNames":
                _open(value)
        if node.get("type") != "string":
            return
        if "pattern" in node and "{[A-Za-z_]" not in node["pattern"]:
            node["pattern"] += f"|{VARIABLE}"
        for words in {"enum", "const"} & node.keys():
            node["anyOf"] = [{words: node.pop(words)}, {"pattern": VARIABLE}]


def rendered() -> str:
    """Return the schema as it stands in docs/schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rendered())
