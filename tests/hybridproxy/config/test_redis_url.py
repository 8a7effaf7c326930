import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.config.redis_url import MAX_NODES, RedisUrl, redis_url

FORM = r"^expected redis://host:port, rediss://"
HOSTS = r"^expected host, host:port or \[IPv6 address\]:port, with commas between several$"
PORT = "^expected a port from 1 to 65535 in the URL$"
SERVICE = r"^expected the name of the master behind the sentinels"
DB = "^expected the number of a database, 0 to 1023, at the end of the URL$"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", RedisUrl("standalone", False, (("h", 6379),))),
        ("redis://H.internal./", RedisUrl("standalone", False, (("h.internal.", 6379),))),
        ("rediss://h:1/15", RedisUrl("standalone", True, (("h", 1),), db=15)),
        ("redis://10.0.0.7:7000/0", RedisUrl("standalone", False, (("10.0.0.7", 7000),))),
        ("redis://[FD00:0::1]:7000", RedisUrl("standalone", False, (("fd00::1", 7000),))),
        ("redis://[::1]/1023", RedisUrl("standalone", False, (("::1", 6379),), db=1023)),
        ("redis://user@h", RedisUrl("standalone", False, (("h", 6379),), "user")),
        ("redis://user:@h", RedisUrl("standalone", False, (("h", 6379),), "user")),
        ("redis://:p@h", RedisUrl("standalone", False, (("h", 6379),), None, "p")),
        ("redis://u:p:q,?#@h", RedisUrl("standalone", False, (("h", 6379),), "u", "p:q,?#")),
        ("redis://u%40x:%2Fa%3a%C3%A9@h", RedisUrl("standalone", False, (("h", 6379),), "u@x", "/a:é")),
        (
            "redis+sentinel://a,b:1,[::1]:2/my-master.1",
            RedisUrl("sentinel", False, (("a", 26379), ("b", 1), ("::1", 2)), service="my-master.1"),
        ),
        (
            "rediss+sentinel://u:p@a:26379/m/3",
            RedisUrl("sentinel", True, (("a", 26379),), "u", "p", service="m", db=3),
        ),
        ("redis+sentinel://a/m/", RedisUrl("sentinel", False, (("a", 26379),), service="m")),
        ("redis+cluster://a,a:7000", RedisUrl("cluster", False, (("a", 6379), ("a", 7000)))),
        ("rediss+cluster://:p@a:1,b:2/", RedisUrl("cluster", True, (("a", 1), ("b", 2)), None, "p")),
    ],
)
def test_one_url_says_how_redis_is_run(url: str, expected: RedisUrl) -> None:
    """One server, sentinels or a cluster; ports have the defaults of their kind; escapes are taken out."""
    assert redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (7, FORM), (None, FORM), ("", FORM), ("h:6379", FORM), ("http://h", FORM), ("REDIS://h", FORM),
        ("redis:h", FORM), ("redis+tls://h", FORM), ("redis+sentinels://h/m", FORM), ("unix:///run/redis.sock", FORM),
        ("redis://h\n", FORM), ("redis://h\0", FORM), ("redis://u:a/b@h", FORM), ("redis://u:a@b@h", FORM),
        ("redis+sentinel://u:p@a,u:p@b/m", FORM), ("redis://h" + "/" * 4096, FORM),
        ("redis://", HOSTS), ("redis:///0", HOSTS), ("redis://u:p@", HOSTS), ("redis://h:", HOSTS),
        ("redis://h:port", HOSTS), ("redis://h:-1", HOSTS), ("redis://h:1:2", HOSTS), ("redis://::1", HOSTS),
        ("redis://[::1", HOSTS), ("redis://[::1]1", HOSTS), ("redis://[h]:1", HOSTS), ("redis://[beef]:1", HOSTS),
        ("redis+cluster://a,", HOSTS), ("redis+cluster://a,,b", HOSTS), ("redis+cluster://a;b:1", "^expected an IP"),
        ("redis://-h", "^expected an IP address or a host name$"), ("redis://10.1", "^expected an IP address"),
        ("redis://h h", "^expected an IP address"), ("redis://[:::]", "^expected an IP address"),
        ("redis://h:0", PORT), ("redis://h:65536", PORT), ("redis+cluster://a:1,b:99999", PORT),
        ("redis://a,b", r"^several hosts: write redis\+sentinel:// or redis\+cluster://$"),
        ("redis+cluster://a,b,a:6379", "^a host is listed twice$"),
        ("redis+cluster://" + ",".join(f"h{i}" for i in range(MAX_NODES + 1)), "^expected at most 32 hosts"),
        ("redis+sentinel://a", SERVICE), ("redis+sentinel://a/", SERVICE), ("redis+sentinel://a//0", SERVICE),
        ("redis+sentinel://a/my master", SERVICE), ("redis+sentinel://a/" + "m" * 65, SERVICE),
        ("redis+sentinel://a/m/one", DB), ("redis+sentinel://a/m/1/2", DB),
        ("redis://h/one", DB), ("redis://h/1024", DB), ("redis://h/-1", DB), ("redis://h/0/1", DB),
        ("redis://h//0", DB), ("redis://h/" + "9" * 4000, DB), ("redis://h/²", DB),
        ("redis+cluster://a/0", "^a cluster has one database: leave out what follows the hosts$"),
        ("redis://h?db=1", "^a Redis URL takes neither query nor fragment here$"),
        ("redis://h/0#x", "^a Redis URL takes neither query"), ("redis://h#x", "^a Redis URL takes neither query"),
        ("redis://:%ff@h", "that is no UTF-8$"), ("redis://%ff@h", "that is no UTF-8$"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_is_refused_with_the_reason(url: object, message: str) -> None:
    """A scheme, hosts, a port, a service or a database that cannot be each has its own sentence."""
    with pytest.raises(ValueError, match=message):
        redis_url(url)


@given(
    st.text()
    | st.builds(
        "{}://{}@{}/{}".format,
        st.sampled_from(["redis", "rediss", "redis+sentinel", "rediss+cluster"]),
        st.text(),
        st.text("ab.:,[]1", max_size=20),
        st.text(max_size=20),
    )
)
@example("redis://u:canary%ff-secret@h")
@example("redis://u:canary/secret@h")
def test_no_text_breaks_the_parser_or_is_repeated(text: str) -> None:
    """Any text is a URL or a ValueError of ours, whose message shows nothing of it."""
    message, kind = "", ValueError
    try:
        parsed = redis_url(text)
    except ValueError as error:
        message, kind = str(error), type(error)
    else:
        assert all(1 <= port <= 65535 for _, port in parsed.nodes)
        assert bool(parsed.service) is (parsed.mode == "sentinel")
    assert kind is ValueError
    assert "canary" not in message
    assert len(text) < 20 or text not in message


def test_a_password_is_not_shown() -> None:
    """What is printed of a URL leaves it out."""
    assert "canary" not in repr(redis_url("redis://:canary@h"))
