# What the scripts share: find a Python, make a virtual environment once, install into it when something changed.
# Sourced by POSIX shells; the caller has set ROOT, the checkout's folder.

PIP_DISABLE_PIP_VERSION_CHECK=1
PIP_NO_INPUT=1
PIP_ROOT_USER_ACTION=ignore
export PIP_DISABLE_PIP_VERSION_CHECK PIP_NO_INPUT PIP_ROOT_USER_ACTION
# Modules from elsewhere would be found before what is installed here.
unset PYTHONPATH PYTHONHOME

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

python_is_supported() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# Prints the Python to use: python3 if it is new enough, else the newest one on the PATH.
find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 && python_is_supported "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    fail "microasgi needs Python 3.11 or newer, and none of python3, python3.11 ... python3.14 is one." \
        "Install it (Debian, Ubuntu: apt-get install python3 python3-venv) and run this again."
}

# make_venv PYTHON FOLDER
make_venv() {
    if [ -x "$2/bin/python" ] && python_is_supported "$2/bin/python" && "$2/bin/python" -c 'import pip' >/dev/null 2>&1; then
        return 0
    fi
    say "making a virtual environment in $2 with $1 ($(python_version "$1"))"
    rm -rf "$2"
    if "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        "$1" -m venv "$2" || fail "'$1 -m venv $2' failed, see above."
    elif "$1" -m virtualenv --version >/dev/null 2>&1; then
        "$1" -m virtualenv --quiet "$2" || fail "'$1 -m virtualenv $2' failed, see above."
    elif command -v virtualenv >/dev/null 2>&1; then
        virtualenv --quiet --python "$1" "$2" || fail "'virtualenv $2' failed, see above."
    else
        fail "$1 cannot make virtual environments: its module ensurepip is missing and there is no virtualenv." \
            "On Debian and Ubuntu: apt-get install python$(python_version "$1")-venv"
    fi
}

# install_once FOLDER NAME ARGUMENT...: pip install ARGUMENT... unless this very thing was installed here before.
install_once() {
    venv=$1 stamp=$1/.installed-$2
    shift 2
    wanted="$(cksum <"$ROOT/pyproject.toml") $ROOT $*"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    say "installing into $venv: $*"
    # Doubly quiet: errors are shown, warnings about the machine's own pip settings are not.
    # Dependency groups need pip 25.1; the pip that venv brings is often older.
    if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))'; then
        "$venv/bin/python" -m pip install -qq --upgrade 'pip>=25.1' || return 1
    fi
    (cd "$ROOT" && "$venv/bin/python" -m pip install -qq "$@") || return 1
    printf '%s\n' "$wanted" >"$stamp"
}
