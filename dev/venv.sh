#!/usr/bin/env bash
# dev/venv.sh VENV REQUIREMENTS: makes the virtual environment VENV from pinned requirements, on Python 3.13 (as
# deployed) where it is to be had, else on the newest from 3.11 on, and says which. Where no uv is yet, brings it first.
set -euo pipefail

readonly venv=$1 requirements=$2
readonly uv=.local/uv/bin/uv

fail() { echo "error: $*" >&2; exit 1; }

bring_uv() {
    command -v python3 > /dev/null || fail "python3 is missing: install Python 3.11 or newer"
    python3 -c "import venv, ensurepip" 2> /dev/null ||
        fail "python3 cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)"
    python3 -m venv --clear .local/uv
    .local/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
}

# The newest patch release of version $1 that pyenv holds, if any: a pyenv shim works only if told which.
pyenv_release() {
    command -v pyenv > /dev/null || return 0
    pyenv versions --bare 2> /dev/null | { grep -E "^${1//./\\.}\.[0-9]+$" || true; } | sort -V | tail -n 1
}

# Makes the environment on version $1; where it is not on this machine, uv downloads it.
make_venv() {
    local release
    release=$(pyenv_release "$1")
    if [ -n "$release" ]; then export PYENV_VERSION=$release; else unset PYENV_VERSION; fi
    UV_HTTP_RETRIES=1 "$uv" venv --quiet --no-project --clear --python "$1" "$venv" 2> .local/venv.log
}

mkdir -p .local
cmp -s requirements/uv.txt .local/uv/requirements.txt || {
    bring_uv
    cp requirements/uv.txt .local/uv/requirements.txt
}
for version in 3.13 3.12 3.11; do
    if make_venv "$version"; then break; fi
done
[ -x "$venv/bin/python" ] || fail "no Python from 3.11 to 3.13 found: $(tail -n 1 .local/venv.log)"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$requirements"
echo "$venv: $("$venv/bin/python" --version)" >&2
