"""The dialects, by what callers and upstreams speak. A new one: a folder with the row in `dialect.py`, a line here."""

from collections.abc import Mapping

from hybridproxy.dialects.anthropic.dialect import ANTHROPIC
from hybridproxy.dialects.dashscope.dialect import DASHSCOPE
from hybridproxy.dialects.openai import OPENAI
from hybridproxy.dialects.responses.dialect import RESPONSES
from hybridproxy.dialects.translator import Translator
from hybridproxy.model.dialect import Dialect

TRANSLATORS: Mapping[Dialect, Translator] = {row.dialect: row for row in (OPENAI, RESPONSES, ANTHROPIC, DASHSCOPE)}
