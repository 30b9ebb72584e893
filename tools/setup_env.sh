#!/usr/bin/env bash
# Make a virtual environment with MMDetection and this package in it.
#
#     tools/setup_env.sh onedl|openmmlab VENV
#
# A step that is done leaves a stamp in VENV with all it depended on, and is
# skipped while that stays the same; an interrupted one is done again.
# From the environment: PYTHON (an interpreter, default: the first that fits),
# TORCH (what pip installs as PyTorch, options included), MAX_JOBS (compilers
# at a time, default: as many as cores and memory bear).
set -euo pipefail
cd "$(dirname "$0")/.."

stack=$1
venv=$2
default_torch=torch==2.13.0
# Once chosen, a torch of one's own need not be named again.
torch=${TORCH:-$(cat "$venv/stamps/chosen-torch" 2>/dev/null ||
    echo "$default_torch")}
need_gb=6
case $stack in
    onedl) setuptools='setuptools<82' ;;
    # Its MMCV and MMEngine import pkg_resources without a fallback.
    openmmlab) setuptools='setuptools<81' ;;
    *) echo "Unknown stack '$stack': onedl or openmmlab." >&2; exit 2 ;;
esac

die() {
    echo "Set-up stopped: $*" >&2
    exit 1
}

trap 'die "interrupted. Run it again; done steps are kept."' INT

is_done() { # STEP KEY
    [ "$(cat "$venv/stamps/$1" 2>/dev/null)" = "$2" ]
}

mark_done() { # STEP KEY
    echo "$2" >"$venv/stamps/$1"
}

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@"
}

find_python() {
    local candidates=(python3 python3.11 python3.12 python3.10)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for python in "${candidates[@]}"; do
        if "$python" -c 'import sys
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            return
        fi
    done
    die "no Python 3.10 to 3.12 as ${candidates[*]}." \
        'Install one, or name it: make PYTHON=/path/to/python3.11'
}

check_machine() {
    local cxx=${CXX:-c++} header free_gb
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python has no venv module." \
            'On Debian or Ubuntu: apt-get install python3-venv'
    command -v "$cxx" >/dev/null ||
        die "no C++ compiler ($cxx), and MMCV's ops have to be compiled." \
            'On Debian or Ubuntu: apt-get install g++'
    header=$("$python" -c 'import sysconfig
print(sysconfig.get_path("include") + "/Python.h")')
    [ -f "$header" ] ||
        die "$python lacks its C headers ($header)." \
            'On Debian or Ubuntu: apt-get install python3-dev'
    free_gb=$(df -Pk . | awk 'NR == 2 {print int($4 / 1024 / 1024)}')
    [ "$free_gb" -ge "$need_gb" ] ||
        die "$free_gb GB of disk are free in $PWD, $need_gb GB are needed." \
            'Make room, or clone onto a larger disk.'
}

max_jobs() {
    # One compiler takes up to 2.3 GB.
    local cores memory
    cores=$(nproc)
    memory=$(awk '/MemAvailable/ {print int($2 / 2300000)}' /proc/meminfo)
    local jobs=$((memory < cores ? memory : cores))
    echo $((jobs > 1 ? jobs : 1))
}

# While the step runs: how long it has, and how many files ninja has compiled.
show_progress() { # LOG
    local every=30 start=$SECONDS now files line
    [ ! -t 1 ] || every=2
    # Whatever happens to the script, this must not outlive it; nor may
    # `sleep` hold the output open.
    while sleep "$every" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        now=$((SECONDS - start))
        line="$((now / 60)) min $((now % 60)) s"
        files=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$1" | tail -n 1 |
            tr -d ' []') || true
        [ -z "$files" ] || line+=", ${files/\// of } files compiled"
        if [ -t 1 ]; then
            printf '\r      %-50s' "$line"
        else
            echo "      $line"
        fi
    done
}

# Run a command with its output in a log. It stays in the foreground, so that
# Ctrl-C reaches it and all it has started.
logged() { # NAME COMMAND...
    local log=$venv/logs/$1.log failed='' progress
    shift
    show_progress "$log" &
    progress=$!
    # shellcheck disable=SC2064 # to be expanded now
    trap "kill $progress 2>/dev/null" EXIT
    ("$@") >"$log" 2>&1 || failed=yes
    kill "$progress" 2>/dev/null || true
    wait "$progress" 2>/dev/null || true
    trap - EXIT
    [ ! -t 1 ] || printf '\r%-60s\r' ''
    [ -n "$failed" ] || return 0
    if grep -q 'No space left on device' "$log"; then
        die 'the disk is full. Make room and run it again; done steps are kept.'
    fi
    tail -n 20 "$log" >&2
    die "'$*' failed. The above ends its log, $log."
}

# pip with mmcv_ops_in_one.py as a hook of setuptools, which makes MMCV's
# compilation three times faster. If that fails: as MMCV comes.
pip_compiling_fast() {
    local hook=$venv/hooks/mmcv_ops_in_one
    mkdir -p "$hook.dist-info"
    cp tools/mmcv_ops_in_one.py "$hook.py"
    printf '%s\n' 'Metadata-Version: 2.1' 'Name: mmcv_ops_in_one' 'Version: 1' \
        >"$hook.dist-info/METADATA"
    printf '%s\n' '[setuptools.finalize_distribution_options]' \
        'mmcv_ops_in_one = mmcv_ops_in_one:join_sources' \
        >"$hook.dist-info/entry_points.txt"
    PYTHONPATH=$(cd "$venv/hooks" && pwd) pip "$@" || pip "$@"
}

install_stack() {
    export CFLAGS=${CFLAGS:--g0 -O2} MAX_JOBS=${MAX_JOBS:-$(max_jobs)}
    # -v: ninja's progress is read from the log.
    logged stack pip_compiling_fast install -v --no-build-isolation \
        -e ".[$stack,benchmark,docs,onnx,playground,search,test]"

    # opencv-python needs libGL, which a machine without a screen may lack.
    # The headless build is the same but for windows.
    local version
    version=$(pip freeze | sed -n 's/^opencv-python==//p')
    logged opencv pip uninstall -y opencv-python
    logged opencv-headless pip install --force-reinstall --no-deps \
        "opencv-python-headless==$version"

    # Its own requirements would replace MMEngine, onnx and protobuf, and it
    # works without. There are wheels for x86 only.
    echo '      MMDeploy, for its test'
    pip install --no-deps mmdeploy==1.3.1 >"$venv/logs/mmdeploy.log" 2>&1 ||
        echo '      none for this machine: the test is skipped'

    # pip may have kept an MMCV that it compiled for another torch.
    if ! "$venv/bin/python" -c 'import mmcv.ops' 2>/dev/null; then
        echo "      MMCV's ops do not load: compiling them anew"
        logged mmcv pip_compiling_fast install -v --no-build-isolation \
            --no-cache-dir --force-reinstall --no-deps "$(pip freeze | grep 'mmcv==')"
    fi
    logged import "$venv/bin/python" -c 'import mmcv.ops, mmdet'
}

# Each key holds what the steps before it depended on too.
venv_key="$PWD $torch $setuptools"
stack_key="$venv_key $(cat setup.py mmdet_metaanchor/version.py | cksum)"
if is_done stack "$stack_key" && "$venv/bin/python" -c '' 2>/dev/null; then
    echo "Environment $venv ($stack) is ready."
    exit 0
fi

if [ -e "$venv" ] && [ ! -d "$venv/stamps" ]; then
    die "$venv is there, but not made by this script. Move it away."
fi
find_python
check_machine

if ! is_done venv "$venv_key" || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "[1/3] New environment $venv on $("$python" -V) (10 seconds)"
    rm -rf "$venv"
    mkdir -p "$venv/stamps" "$venv/logs"
    [ "$torch" = "$default_torch" ] || echo "$torch" >"$venv/stamps/chosen-torch"
    logged venv "$python" -m venv "$venv"
    mark_done venv "$venv_key"
fi
if ! is_done torch "$venv_key"; then
    echo "[2/3] $torch and build tools (1 to 5 minutes, by the network)"
    # shellcheck disable=SC2086 # TORCH may hold options
    logged torch pip install $torch "$setuptools" wheel ninja psutil packaging
    mark_done torch "$venv_key"
fi
echo "[3/3] MMDetection ($stack), where MMCV's ops are compiled (2 to 3 minutes" \
    'on 2 cores, unless pip kept them), this package, test tools (1 minute)'
install_stack
mark_done stack "$stack_key"
echo "Environment $venv ($stack) is ready."
