import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hybridproxy.config.json_schema import json_schema, rendered

PUBLISHED = Path(__file__).parents[3] / "docs" / "schema.json"


def test_the_published_schema_is_the_one_the_program_checks_by() -> None:
    """docs/schema.json is what the models give today."""
    assert PUBLISHED.read_text() == rendered(), "run: python -m hybridproxy.config.json_schema > docs/schema.json"


def test_the_command_prints_the_schema() -> None:
    """The command named in the documentation prints it."""
    command = [sys.executable, "-m", "hybridproxy.config.json_schema"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PUBLISHED.parents[1], timeout=120)
    assert json.loads(result.stdout) == json_schema()


def test_an_editor_accepts_the_example_and_underlines_a_slip(product: Path) -> None:
    """The contract's example is valid by the schema; an unknown option and a bad name are not."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validator = jsonschema.Draft202012Validator(json_schema())
    example = YAML(typ="safe", pure=True).load(product.read_text())
    assert list(validator.iter_errors(example)) == []
    example["redis"]["url"] = "rediss+cluster://a,b"
    example["breaker"] = {"open_for": "5s", "open_max": 15}
    example["backends"]["vpc"]["region"] = "europe"
    route = example["routes"]["default"]
    route.update(on_cut=["resume", "error"], hedge="0.5%", patience="500ms")
    assert list(validator.iter_errors(example)) == []
    route.update(on_cut=["resume", "resume"], hedge="1", patience="long")
    example["redis"]["url"] = "http://redis"
    example["listen"]["prot"] = 1
    example["backends"]["bad name"] = {"provider": "vllm"}
    example["backends"]["dashscope-sg"]["provider"] = "dashcope"
    assert {"/".join(map(str, error.absolute_path)) for error in validator.iter_errors(example)} == {
        "listen",
        "redis",
        "routes/default/on_cut",
        "routes/default/hedge",
        "routes/default/patience",
        "backends",
        "backends/dashscope-sg/provider",
    }


@pytest.mark.parametrize("name", ["demo", "compose", "examples/agency", "examples/bank", "examples/hospital"])
def test_an_editor_accepts_our_own_files(name: str) -> None:
    """Variables of the environment are no slips: they may stand wherever a text does."""
    jsonschema = pytest.importorskip("jsonschema")
    file = YAML(typ="safe", pure=True).load((PUBLISHED.parents[1] / "deploy" / f"{name}.yaml").read_text())
    file["backends"][next(iter(file["backends"]))]["trust"] = "${TRUST}"
    file["routes"]["default"]["patience"] = "${PATIENCE}"
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(file)) == []
    file["tenants"][next(iter(file["tenants"]))]["keys"] = ["hp_a-key-itself"]
    assert [list(error.absolute_path)[-2:] for error in validator.iter_errors(file)] == [["keys", 0]]
