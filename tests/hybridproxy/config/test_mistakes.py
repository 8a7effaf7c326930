from hybridproxy.config.mistakes import ConfigError, Mistake, dotted


def test_a_mistake_is_printed_as_editors_read_it() -> None:
    """File, line and column come first, so that a click leads there; a file as a whole has neither."""
    assert str(Mistake("a.yaml", 3, 7, "listen.port", "expected a port")) == "a.yaml:3:7: listen.port: expected a port"
    assert str(Mistake("a.yaml", 1, 1, "", "not YAML")) == "a.yaml:1:1: not YAML"
    assert str(Mistake("a.yaml", 0, 0, "", "cannot be read")) == "a.yaml: cannot be read"


def test_an_error_lists_all_mistakes() -> None:
    """The text of the error has one line a mistake."""
    error = ConfigError([Mistake("a", 1, 1, "", "x"), Mistake("a", 2, 1, "", "y")])
    assert str(error) == "a:1:1: x\na:2:1: y"


def test_paths_are_written_as_people_write_them() -> None:
    """Names are joined by dots, places in lists stand in brackets, odd names in quotes and clipped."""
    assert dotted(("tenants", "shop", "keys", 0)) == "tenants.shop.keys[0]"
    assert dotted(("models", "a b\n")) == 'models["a b\\n"]'
    assert len(dotted(("x" * 1000,))) < 100
    assert dotted(()) == ""
