# Named steps that all run, whatever the ones before gave; sourced after _environment.sh.

FAILED=''
STARTED=$(date +%s)

# step NAME COMMAND ARGUMENT...
step() {
    name=$1
    shift
    printf '\n=== %s\n' "$name"
    begun=$(date +%s)
    if "$@"; then
        printf -- '--- %s: passed (%s s)\n' "$name" "$(($(date +%s) - begun))"
    else
        printf -- '--- %s: FAILED (%s s)\n' "$name" "$(($(date +%s) - begun))"
        FAILED="$FAILED
  $name"
    fi
}

# Says how it went; the exit status is that of the script.
finish() {
    total=$(($(date +%s) - STARTED))
    if [ -n "$FAILED" ]; then
        printf '\nFAILED after %s s:%s\n' "$total" "$FAILED"
        return 1
    fi
    printf '\nAll passed in %s s.\n' "$total"
}

# Ruff, mypy and pyright, with the versions installed in VENV.
lint_steps() {
    typed_code=microasgi
    [ -d tests/typing ] && typed_code="microasgi tests/typing"
    step 'ruff check' "$VENV/bin/python" -m ruff check .
    step 'ruff format' "$VENV/bin/python" -m ruff format --check .
    # shellcheck disable=SC2086 # two folders, two words
    step mypy "$VENV/bin/python" -m mypy $typed_code
    # shellcheck disable=SC2086
    step pyright "$VENV/bin/python" -m pyright --pythonpath "$VENV/bin/python" $typed_code
}
