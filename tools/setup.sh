# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by bench/run and tests/run, from the top folder: installs what a build needs, configures and builds.

# --help: what a script's first lines say of it; that of bench/run and tests/run is another's.
case ${0##*/}:${1:-} in
run:*) ;;
*:--help)
    for script in "$0" "$(basename "$(dirname "$0")")/${0##*/}" "tests/scripts/${0##*/}" "bench/${0##*/}" "tools/${0##*/}"; do
        [ -f "$script" ] || continue
        sed '1,2d; /^[^#]/,$d; s/^# \{0,1\}//' "$script"
        exit
    done
    ;;
esac

# need PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds.
missing=
skipped=
targets=
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

# The compilers may be several words, such as 'ccache gcc'.
# shellcheck disable=SC2086
header() { echo "#include <$1>" | ${CC:-cc} -E -x c -; }
# shellcheck disable=SC2086
c_compiler() { command -v ${CC:-cc}; }
# shellcheck disable=SC2086
cxx_compiler() { command -v ${CXX:-c++}; }

# want PACKAGE COMMAND...: the same of what can be done without; it is installed where that is possible.
wanted=
want() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || wanted="$wanted $package"
}

# need_venv, and once what is missing is installed venv FOLDER PACKAGE...: a virtual environment of Python, made once,
# with these packages of PyPI; names its Python in $python.
need_venv() { need python3-venv python3 -c 'import ensurepip, venv'; }
venv() {
    python=$PWD/$1/bin/python
    [ ! -f "$1/installed" ] || return 0
    python3 -m venv "$1" >&2
    made=$1
    shift
    "$python" -m pip install -q "$@" >&2
    touch "$made/installed"
}

# install_missing: installs the packages that are missing, or names them and stops.
install_missing() {
    if [ -n "$wanted" ]; then
        # shellcheck disable=SC2030 # what is needed, on its own
        (missing=$wanted wanted='' && install_missing) || echo "Going on without:$wanted" >&2
        wanted=
        hash -r
    fi
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null || as_root=none
    fi
    if ! command -v apt-get >/dev/null || [ "$as_root" = none ]; then
        echo "Missing, by the names of Debian's packages:$missing" >&2
        echo "Install them and run this again." >&2
        exit 2
    fi
    echo "Installing:$missing" >&2
    # shellcheck disable=SC2086 # lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive flock /var/lib/dpkg \
        sh -c 'apt-get update -qq && exec apt-get install -y -qq --no-install-recommends "$@"' sh $missing >&2 ||
        { echo "apt-get could not install:$missing" >&2; exit 2; }
    hash -r
    missing=
}

# What every build needs.
need_build() {
    need gcc c_compiler
    need libc6-dev header stdlib.h
    need meson command -v meson
    need ninja-build command -v ninja
    case $(uname -m) in
    x86_64 | i?86) need libcpu-features-dev header cpu_features/cpuinfo_x86.h ;;
    esac
}

# What building for Windows needs, and running there by wine.
need_windows() {
    need gcc-mingw-w64-x86-64 command -v x86_64-w64-mingw32-gcc
    need g++-mingw-w64-x86-64 command -v x86_64-w64-mingw32-g++
    need wine64 test -x /usr/lib/wine/wine64
    export WINEPREFIX="$PWD/build/windows-wine" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml,winedbg.exe='
    export LC_ALL=C.UTF-8 # in which paths are
    mkdir -p build
}
# Its server stays for two minutes: one that is just ending refuses those who come.
wine() {
    /usr/lib/wine/wineserver64 -p120 </dev/null >/dev/null 2>&1 || :
    /usr/lib/wine/wine64 "$@"
}

# need_emulator QEMU COMPILER PACKAGE: what cross-building and running by qemu's emulator of user programs needs; names
# how to run programs in $run, and where it matters as which CPU in $cpu.
cpu=
need_emulator() {
    run=qemu-$1
    need "gcc-$2" command -v "$2-gcc"
    need "libc6-dev-$3-cross" test -f "/usr/$2/include/stdlib.h"
    need qemu-user command -v "$run"
    [ "$1" != i386 ] || cpu=Nehalem # qemu 7.2 does not let AVX2's masked loads end at an inaccessible page
}

# unpack_arm64 FOLDER PACKAGE...: unpacks Debian's packages for arm64, with all that they depend on, into a folder, by an
# apt that knows nothing of this system's packages: many cannot be installed beside amd64's.
unpack_arm64() {
    root=$1
    shift
    [ ! -f "$root/complete" ] || return 0
    rm -rf "$root"
    mkdir -p "$root/apt/state/lists/partial" "$root/apt/cache/archives/partial"
    : >"$root/apt/status"
    arm64_apt() {
        apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$root/apt/state" \
            -o Dir::State::status="$root/apt/status" -o Dir::Cache="$root/apt/cache" -o APT::Sandbox::User=root \
            -o Dir::Cache::archives="$root/apt/cache/archives" -o Debug::NoLocking=1 -o DPkg::Post-Invoke= \
            -o APT::Update::Post-Invoke= -o APT::Keep-Downloaded-Packages=true "$@" >&2
    }
    arm64_apt update
    arm64_apt install -y --no-install-recommends --download-only "$@"
    for package in "$root"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$root"
    done
    rm -rf "$root/apt"
    touch "$root/complete"
}

# What building for WebAssembly needs, and running there by Node; names how to run programs in $run.
need_wasm() {
    # With more threads, Node 20 often dies when the program has ended.
    run="node --single-threaded --no-warnings --experimental-wasi-unstable-preview1 $PWD/tests/scripts/wasi.mjs"
    need clang command -v clang
    need lld command -v wasm-ld
    need llvm command -v llvm-ar
    need wasi-libc test -f /usr/lib/wasm32-wasi/libc.a
    need libclang-rt-14-dev-wasm32 sh -c 'ls /usr/lib/llvm-14/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a'
    need nodejs command -v node
}

# The README's program.
readme_program() { sed -n '/^```c$/,/^```$/{/^```/d;p}' README.md; }

# bits CONVPOOL-INFO...: each kernel that runs, and the hash of what it computes.
bits() { CONVPOOL_KERNEL='' "$@" --bits | tr -d '\r' | awk '$2 == "yes" && NF >= 3 { print $1, $NF }'; }

# The instruction sets of build/native, which is made, that run here, by commas, the best first.
runnable() {
    (targets=tools/convpool-info && build build/native -Dtests=disabled -Dbench=disabled) || return 1
    build/native/tools/convpool-info | sed -n 's/-.* yes *$//p' | uniq | paste -sd , -
}
# The best of them, which has fused multiply-add where there is one, and scalar, which has not: one of either family.
of_each_family() { runnable | sed 's/,.*//; s/$/,scalar/'; }

# The names that convpool.h declares.
declared() { sed -n 's/^CONVPOOL_API [^(]*\<\(convpool_[a-z0-9_]*\)(.*/\1/p' include/convpool.h | sort; }

# What tools/wheel makes wheels for besides this machine.
wheel_targets='linux-x86_64 linux-aarch64 musl-x86_64 musl-aarch64 windows-x86_64 macos-arm64 macos-x86_64'

# What tools/get-cpu-features needs.
need_cpu_features() {
    [ -f subprojects/cpu_features/meson.build ] || need npm command -v npm
    need git command -v git
}

# build FOLDER [OPTION]...: configures FOLDER (once; again where the options, the compiler or the place have changed)
# and builds what has changed, of $targets or of everything.
build() {
    folder=$1
    shift
    stamp="$PWD $* ${CC:-} ${CXX:-} ${CFLAGS:-} ${CXXFLAGS:-} ${LDFLAGS:-} $(cksum meson_options.txt kernels/meson.build kernels/isa/options.txt)"
    if [ ! -f "$folder/build.ninja" ] || [ "$stamp" != "$(cat "$folder/configured-with" 2>/dev/null)" ]; then
        rm -rf "$folder"
        meson setup "$folder" "$@" >&2
        echo "$stamp" >"$folder/configured-with"
    fi
    # shellcheck disable=SC2086
    ninja -C "$folder" ${targets:-} >&2
}

# run_tests FOLDER [ARGUMENT OF MESON TEST]...: runs the tests built there; prints 'N passed, N failed' last, and fails
# unless some passed and none failed. Every subtest counts.
run_tests() {
    folder=$1
    shift
    log=$folder/meson-logs/testlog.junit.xml
    rm -f "$log"
    status=0
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || status=$?
    if [ ! -f "$log" ]; then
        case " $* " in *" --list "* | *" --help "* | *" -h "*) return "$status" ;; esac
        echo "0 passed, 1 failed" # no test of that name
        return 1
    fi
    total() { sed -n "s/.*<testsuites[^>]* $1=\"\([0-9]*\)\".*/\1/p" "$log"; }
    tests=$(total tests)
    failed=$(($(total failures) + $(total errors)))
    [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1 # a program that failed in none of its subtests
    passed=$((${tests:-0} - failed))
    [ "$passed" -ge 0 ] || passed=0
    echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# attempt NAME COMMAND...: one line of TAP, with how many checks passed in the command's output, which is shown only
# where the command fails, and the time that it took; counts in $passed and $failed. The command may add to $name.
passed=0
failed=0
attempt() {
    name=$1
    shift
    log=build/attempt.log
    began=$(date +%s)
    mkdir -p build
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1)) result=ok
    else
        failed=$((failed + 1)) result="not ok"
    fi
    count=$(grep -c '^ok ' "$log") && count=": $count checks" || count=
    echo "$result $((passed + failed)) - $name$count, $(($(date +%s) - began)) s"
    [ "$result" = ok ] || sed 's/^/# /' "$log"
}

# self_check FOLDER CHECK...: runs these checks of the self-check built there; fails where a name is not one.
self_check() {
    folder=$1
    shift
    for check; do
        CONVPOOL_KERNEL='' "$folder/tests/convpool-selfcheck" "$check" || return 1
    done
}

# attempts_end: prints 'N passed, N failed', and fails unless some attempts passed and none failed.
attempts_end() {
    echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
