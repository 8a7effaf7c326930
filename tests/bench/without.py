"""`hybridproxy` without one group of features, to show what the group costs: tests/bench/without.py GROUP serve …

    resilience    breakers, health, retry and money budgets: outcomes are not counted, every attempt is allowed

For measuring only: a proxy without its breakers is not one that should face callers. Used by compare.py's
--hybridproxy-cmd, both variants in the same rounds:

    python tests/bench/compare.py --peers nginx,naive,hybridproxy --scenarios json-1k,paced-100 --rounds 8 \
        --hybridproxy-cmd 'with=hybridproxy serve --config {config}' \
        --hybridproxy-cmd 'without=python tests/bench/without.py resilience serve --config {config}'
"""

import sys

from hybridproxy.cli.main import main
from hybridproxy.resilience import budget
from hybridproxy.stores import memory


def nothing(*_args, **_more):
    return None


def without_resilience():
    memory.MemoryHealth.good = nothing
    memory.MemoryHealth.note = nothing
    everybody = budget.Allowance()
    budget.Allowances.of = lambda self, tenant, now: everybody
    budget.Allowance.retry = lambda self, now, **_: True
    budget.Allowance.spent = nothing


GROUPS = {"resilience": without_resilience}

if __name__ == "__main__":
    GROUPS[sys.argv.pop(1)]()
    main()
