# Sourced by the other scripts: make .venv and install into it, once for each state of the pins.
#
#   setup ""      what the agent needs
#   setup "[dev]" what its tests need, too

PYTHON_MIN="3.11"

# Some machines tell Python to keep no bytecode; then every start would compile every library anew.
unset PYTHONDONTWRITEBYTECODE

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && "$name" -c \
            'import sys; sys.exit(not sys.version_info[:2] >= (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Python $PYTHON_MIN or later is needed and was not found; set PYTHON=/path/to/python3" >&2
    return 1
}

setup() {
    local extras="$1" python stamp state
    python="$(find_python)"
    state="$(cat pyproject.toml scripts/constraints.txt; "$python" --version; pwd; echo "$extras")"
    stamp=".venv/.installed${extras//[\[\]]/-}"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then
        return
    fi
    echo "Setting up .venv (once; a minute or two) …"
    if command -v uv >/dev/null; then
        [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
        uv pip install --quiet --compile-bytecode --python .venv/bin/python -c scripts/constraints.txt -e ".$extras"
    else
        [ -x .venv/bin/python ] || "$python" -m venv .venv
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e ".$extras"
    fi
    printf '%s' "$state" >"$stamp"
}
