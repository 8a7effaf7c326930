"""Qwen at its maker's: Alibaba Cloud Model Studio, list prices by site.

The number of tokens of input picks one tier for the whole call, output too. The implicit cache is always on: a hit
costs about a fifth of the input. What a call asks to be cached (`cache_control`) costs a quarter more, and a hit of
that a tenth; a request has one or the other (the page on context cache, 2026-10-11). Beijing's list is in yuan: 7.49 of
them are a dollar, as the page itself converts. Virginia's unsuffixed names are Beijing's ("Global"), those that end in
`-us` have Singapore's prices. What a workspace in Frankfurt or Tokyo pays depends on the scope it was made with, and of
Hong Kong no list was seen, so nothing is said of them. `K` is 1,024, as in the windows.
"""

from typing import Final

from hybridproxy.catalogue.row import Row
from hybridproxy.model.price import Price, price

K: Final = 1024
_M: Final = 1_000_000

_ZH = "Model Studio's price page (zh)"
_EN = "Model Studio's price page (en)"
_BOTH = f"{_ZH}, models.dev"
_MD = "models.dev"
_DATES = {_ZH: "2026-08-05", _EN: "2026-10-08", _BOTH: "2026-08-05", _MD: "2026-07-02"}
_YUAN: Final = 1 / 7.49

_CACHED, _ASKED, _WRITTEN = 0.2, 0.1, 1.25

_Tier = tuple[int, float, float] | tuple[int, float, float, float]
"""Tokens up to which it holds, input, output, and output where the model thinks."""


def _price(*tiers: _Tier, rate: float = 1.0) -> Price:
    """Return the price of tiers, in dollars or in what `rate` makes dollars of, for a million tokens."""
    made = [
        price(
            round(tier[1] * rate, 4),
            round(tier[2] * rate, 4),
            thinking=round(tier[3] * rate, 4) if len(tier) == 4 else None,
            cached=round(tier[1] * rate * _CACHED, 5),
            written=round(tier[1] * rate * _WRITTEN, 5),
            asked=round(tier[1] * rate * _ASKED, 5),
        )
        for tier in tiers
    ]
    first = made[0]
    above = tuple((tier[0], dearer) for tier, dearer in zip(tiers, made[1:], strict=False))
    return Price(first.input, first.output, True, first.thinking, first.cached, first.written, above, first.asked)


# name, window, source, Singapore's tiers in dollars, Beijing's in yuan
_LIST: Final[tuple[tuple[str, int | None, str, tuple[_Tier, ...], tuple[_Tier, ...]], ...]] = (
    ("qwen3.8-max", _M, _ZH, ((_M, 2, 6),), ((_M, 12, 36),)),
    ("qwen3.7-max", _M, _BOTH, ((_M, 2.5, 7.5),), ((_M, 12, 36),)),
    (
        "qwen3-max",
        256 * K,
        _BOTH,
        ((32 * K, 1.2, 6), (128 * K, 2.4, 12), (256 * K, 3, 15)),
        ((32 * K, 2.5, 10), (128 * K, 4, 16), (256 * K, 7, 28)),
    ),
    ("qwen3.7-plus", _M, _BOTH, ((256 * K, 0.4, 1.6), (_M, 1.2, 4.8)), ((256 * K, 2, 8), (_M, 6, 24))),
    (
        "qwen-plus",
        _M,
        _BOTH,
        ((256 * K, 0.4, 1.2, 4), (_M, 1.2, 3.6, 12)),
        ((128 * K, 0.8, 2, 8), (256 * K, 2.4, 20, 24), (_M, 4.8, 48, 64)),
    ),
    (
        "qwen-flash",
        _M,
        _BOTH,
        ((256 * K, 0.05, 0.4), (_M, 0.25, 2)),
        ((128 * K, 0.15, 1.5), (256 * K, 0.6, 6), (_M, 1.2, 12)),
    ),
    ("qwen3.8-flash", None, _ZH, ((_M, 0.15, 0.47),), ((_M, 0.8, 2.7),)),
    (
        "qwen3.7-flash",
        None,
        _ZH,
        ((32 * K, 0.03, 0.13), (256 * K, 0.1, 0.4), (_M, 0.2, 0.8)),
        ((32 * K, 0.2, 0.8), (256 * K, 0.6, 2.4), (_M, 1.2, 4.8)),
    ),
)

_CODER_PLUS = (1_048_576, _EN)
_CODER_PLUS_SG = ((32 * K, 1, 5), (128 * K, 1.8, 9), (256 * K, 3, 15), (_M, 6, 60))
_CODER_PLUS_BJ = ((32 * K, 0.574, 2.294), (128 * K, 0.861, 3.441), (256 * K, 1.434, 5.735), (_M, 2.868, 28.671))

# name, checkpoint, window, Singapore's and Beijing's price in dollars; MD has the first tier of 480b alone
_OPEN: Final = (
    ("qwen3-235b-a22b", "qwen3-235b-a22b", 131_072, (0.7, 2.8), (0.287, 1.147)),
    ("qwen3-coder-480b-a35b-instruct", "qwen3-coder-480b-a35b-instruct", 262_144, (1.5, 7.5), (0.861, 3.441)),
    ("qwen2.5-72b-instruct", "qwen2.5-72b-instruct", 131_072, (1.4, 5.6), (0.574, 1.721)),
)

_LITELLM = ("litellm 1.109.1", "2026-11-23")
# what LiteLLM's list alone has, without a site: taken for Singapore's, whose prices its others are
_FROM_LITELLM: Final = (
    ("qwen3.5-plus", ((256 * K, 0.4, 2.4), (_M, 0.5, 3))),
    ("qwen3-next-80b-a3b-instruct", ((_M, 0.15, 1.2),)),
)

US: Final = ("qwen3.7-max", "qwen3.7-plus", "qwen-plus", "qwen-flash")
"""Models that Virginia has under a name that ends in `-us`, computed in the US alone."""


def _row(site: str, name: str, checkpoint: str, context: int | None, tariff: Price, source: str) -> Row:
    return Row("dashscope", site, name, checkpoint, context, tariff, "", source, _DATES[source])


ALIBABA: Final[tuple[Row, ...]] = (
    *(
        _row(site, name, name, context, tariff, source)
        for name, context, source, dollars, yuan in _LIST
        for site, tariff in (
            ("singapore", _price(*dollars)),
            ("beijing", _price(*yuan, rate=_YUAN)),
            ("virginia", _price(*yuan, rate=_YUAN)),
        )
    ),
    *(
        _row("virginia", f"{name}-us", name, context, _price(*dollars), source)
        for name, context, source, dollars, _ in _LIST
        if name in US
    ),
    *(
        _row(site, "qwen3-coder-plus", "qwen3-coder-plus", _CODER_PLUS[0], _price(*tiers), _CODER_PLUS[1])
        for site, tiers in (("singapore", _CODER_PLUS_SG), ("beijing", _CODER_PLUS_BJ), ("virginia", _CODER_PLUS_BJ))
    ),
    *(
        _row(site, name, checkpoint, context, _price((_M, *dollars)), _MD)
        for name, checkpoint, context, singapore, beijing in _OPEN
        for site, dollars in (("singapore", singapore), ("beijing", beijing))
    ),
    *(Row("dashscope", "singapore", name, name, None, _price(*tiers), "", *_LITELLM) for name, tiers in _FROM_LITELLM),
)
