from hybridproxy.config.document import parse
from hybridproxy.config.environment import Environment, literal_part


def test_a_reference_is_replaced_wherever_text_stands() -> None:
    """Whole values, parts of them, in lists and in mappings; keys stay as they are."""
    document, _ = parse('a: "${X}"\nb: ["p-${X}-${Y}", 1]\n"${X}": {c: ~}\n', "f")
    assert document is not None
    environment = Environment({"X": "one", "Y": "two"})
    assert list(environment.substitute(document)) == []
    assert document.data == {"a": "one", "b": ["p-one-two", 1], "${X}": {"c": None}}
    assert environment.templates == {("a",): "${X}", ("b", 0): "p-${X}-${Y}"}


def test_a_value_is_put_in_once() -> None:
    """What comes from the environment is taken as it is, also when it looks like a reference."""
    document, _ = parse('a: "${X}"\n', "f")
    assert document is not None
    assert list(Environment({"X": "${X}"}).substitute(document)) == []
    assert document.data == {"a": "${X}"}


def test_each_unset_variable_is_reported_once() -> None:
    """A variable that is not there and a reference that is none are mistakes at their place."""
    document, _ = parse('a: "${X}${X}${Y}"\nb: "${"\n', "f")
    assert document is not None
    assert list(Environment({}).substitute(document)) == [
        (("a",), "the environment has no X: set it"),
        (("a",), "the environment has no Y: set it"),
        (("b",), "${ begins a reference: write ${NAME}, NAME made of letters, digits and _"),
    ]


def test_values_are_hidden_by_their_names() -> None:
    """A message shows the variable's name where its value was; short values are no secrets."""
    environment = Environment({}, used={"KEY": "s3cr3t-key", "ALL": "s3cr3t-key-2", "ON": "on"})
    assert environment.hide("no backend s3cr3t-key-2 or s3cr3t-key on it") == "no backend ${ALL} or ${KEY} on it"
    assert "s3cr3t" not in repr(environment)


def test_the_literal_part_is_what_is_not_a_reference() -> None:
    """A secret in the file is one of which something is left."""
    assert literal_part("${A}${B}") == ""
    assert literal_part("sk-${A}") == "sk-"
