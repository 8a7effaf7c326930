import math
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hybridproxy.config import document
from hybridproxy.config.document import MAX_ALIASED, MAX_DEPTH, Document, parse


@pytest.fixture(params=["fast", "pure"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds with the C parser and without it."""
    if request.param == "pure":
        monkeypatch.setattr(document, "FAST_PARSER", None)
    elif document.FAST_PARSER is None:
        pytest.skip("the C parser is not installed")


def values(text: str) -> Any:
    """Return the values of a text without mistakes."""
    read, mistakes = parse(text, "f")
    assert mistakes == []
    assert read is not None
    return read.data


def only_mistake(text: str) -> str:
    """Return the one mistake in a text."""
    _, mistakes = parse(text, "f")
    assert len(mistakes) == 1
    return str(mistakes[0])


def test_words_mean_what_yaml_1_2_says() -> None:
    """Norway stays Norway, off stays a word, 010 is ten, and dates and times are text."""
    text = "[NO, off, on, yes, 010, 0o10, 0x1F, 1:30, 2026-01-01, 1_000, true, False, ~, null, .5, 1e3, -.inf, +12]"
    expected = ["NO", "off", "on", "yes", 10, 8, 31, "1:30", "2026-01-01", "1_000", True, False, None, None]
    assert values(text) == [*expected, 0.5, 1000.0, -math.inf, 12]


def test_quoted_words_are_text_and_so_are_keys() -> None:
    """Quotes make text of anything; a key is text with or without them."""
    assert values("{a: \"1\", b: 'true', 1: x, no: y, null: z}") == {
        "a": "1",
        "b": "true",
        "1": "x",
        "no": "y",
        "null": "z",
    }


def test_a_number_longer_than_any_stays_text() -> None:
    """A thousand digits are not turned into a number, which would take time, but are no error of the parser."""
    assert values("9" * 5000) == "9" * 5000


def test_urls_and_networks_need_no_quotes_in_braces() -> None:
    """YAML 1.2 lets a colon stand inside a plain word; the parser that cannot is not the last one asked."""
    assert values("{a: http://127.0.0.1:8000/v1, b: [fd00::/8]}") == {
        "a": "http://127.0.0.1:8000/v1",
        "b": ["fd00::/8"],
    }


def test_question_marks_are_text_but_not_at_its_beginning() -> None:
    """Both parsers would make a mapping of the word `?x` in a list, so it has to be quoted."""
    assert values("[x?, 'a ?', \"?b\"] # really?") == ["x?", "a ?", "?b"]
    assert values("a: really?\nb: 1\n") == {"a": "really?", "b": 1}
    expected = "f:1:6: [1]: a question mark before a key: leave it out, or quote the text that begins with it"
    assert only_mistake("[a, ?x]").replace("[1].x", "[1]") == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_has_nothing_in_it(text: str) -> None:
    """A file without a value is read as nothing, not refused."""
    assert values(text) is None


def test_each_value_knows_its_place() -> None:
    """Places are those of the value, of its key, or of the nearest key around what is missing."""
    read, _ = parse("a:\n  b: [1, {c: x}]\n  d:\n", "f")
    assert read is not None
    assert read.place(("a", "b", 0)) == (2, 7)
    assert read.place(("a", "b", 1, "c")) == (2, 14)
    assert read.place(("a", "b", 1, "c"), key=True) == (2, 11)
    assert read.place(("a", "b", 1, "missing")) == (2, 10)
    assert read.place(("a", "missing", "deeper")) == (1, 1)
    assert read.place(("a", "d")) == (3, 3)
    assert read.place(()) == (1, 1)


def test_an_alias_is_a_copy() -> None:
    """Two places that share an anchor do not share what is put into one of them later."""
    data = values("a: &t {x: [1]}\nb: *t\n")
    data["b"]["x"].append(2)
    assert data == {"a": {"x": [1]}, "b": {"x": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: the key stands here a second time, first in line 1: keep one"),
        ("a: {b: 1, b: 2}\n", "f:1:11: a.b: the key stands here a second time, first in line 1: keep one"),
        ("a: !!str 1\n", "f:1:4: a: tags such as tag:yaml.org,2002:str are not used here: leave it out"),
        ("a: [!x 1]\n", "f:1:5: a[0]: tags such as !x are not used here: leave it out"),
        ("a: &b {c: 1}\n<<: *b\n", "f:2:1: merge keys are not part of YAML 1.2: write the entries out"),
        ("&k a: 1\n", "f:1:1: a key takes neither tag nor anchor"),
        ("? [a]\n: 1\n", "f:1:3: a key has to be plain text"),
        ('a: "\\ud800"\n', "f:1:4: a: half a character, U+D800 to U+DFFF: write the character itself"),
        ('"\\ud800": 1\n', "f:1:1: half a character, U+D800 to U+DFFF: write the character itself"),
        ("a: *nowhere\n", "f:1:4: a: no anchor &nowhere before this alias"),
        ("a: &a [*a]\n", "f:1:8: a[0]: no anchor &a before this alias"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document: put everything into one"),
        ("%YAML 1.1\n---\na: NO\n", "f:2:1: this file is read as YAML 1.2: leave the %YAML line out"),
        ("a: [1, 2\nb: 3\n", "f:2:2: not YAML: expected ',' or ']', but got ':' while parsing a flow sequence"),
        ("a: b: c\n", "f:1:5: not YAML: mapping values are not allowed here"),
        ("é: \x07\n", "f:1:4: not YAML: the character U+0007 is not allowed"),
        ('a: "\\UFFFFFFFF"\n', "f:1:1: not YAML: the parser gave up (OverflowError)"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, expected: str) -> None:
    """Each kind of mistake has its line, its column, the path and what to do."""
    assert only_mistake(text) == expected


def test_a_yaml_1_2_directive_is_no_mistake() -> None:
    """A file may say what it is."""
    assert values("%YAML 1.2\n---\na: NO\n") == {"a": "NO"}


def test_deep_nesting_is_refused() -> None:
    """A file nested deeper than any configuration is refused at the level where it gets too deep."""
    assert values("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    text = "[" * 10_000
    path = "[0]" * MAX_DEPTH
    assert only_mistake(text) == f"f:1:{MAX_DEPTH + 1}: {path}: nested deeper than {MAX_DEPTH} levels"


def test_aliases_that_explode_are_refused() -> None:
    """Nine levels of ten aliases each would be a thousand million values: refused before any is made."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert f"aliases repeat more than {MAX_ALIASED} values: write them out" in only_mistake("\n".join(lines))


@given(st.text("abNO01.~:-#[]{},'\"&*!|>%?\\$ \t\n\r\x85\u2028\ufeffé", max_size=40))
def test_any_text_gives_values_or_a_mistake(text: str) -> None:
    """No text makes the parser raise; what cannot be read says so."""
    read, mistakes = parse(text, "f")
    assert isinstance(read, Document) or mistakes
    assert all(mistake.line > 0 for mistake in mistakes)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])).filter(lambda text: not text.startswith("?")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc10NO", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN, st.booleans())
def test_what_another_program_wrote_is_read_as_it_was_meant(value: Any, flow: bool) -> None:
    """Values written by ruamel.yaml as YAML 1.2 come back the same, in block and in flow style."""
    dumper = YAML(typ="safe", pure=True)
    dumper.default_flow_style = flow
    stream = StringIO()
    dumper.dump({"value": value}, stream)
    read, mistakes = parse(stream.getvalue(), "f")
    assert mistakes == []
    assert read is not None
    assert read.data == {"value": value}


@given(
    st.lists(
        st.sampled_from(
            [
                "a: ",
                "b: ",
                "- ",
                "\n",
                "\n  ",
                "x",
                "'q'",
                "[1, ",
                "]",
                "{c: ",
                "}",
                ", ",
                "#",
                "NO",
                "|\n  ",
                "*a",
                "&a ",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_the_two_parsers_agree(text: str) -> None:
    """What the C parser reads without complaint, the pure one reads alike or refuses."""
    fast, fast_mistakes = parse(text, "f")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "FAST_PARSER", None)
        pure, pure_mistakes = parse(text, "f")
    if fast_mistakes or not pure_mistakes:
        assert fast_mistakes == pure_mistakes
        assert getattr(fast, "data", None) == getattr(pure, "data", None)
