#!/usr/bin/env bash
# Builds pgstate with the oldest and the newest of what it says it works with, as Debian's releases have them, each in a
# root that debootstrap makes, and runs the unit, contract and integration tests there. Ends with the table that
# test/README.md has. Nothing is optimized: what a compiler refuses and what a server answers do not depend on it. Needs
# root, debootstrap and a machine whose apt has Debian's mirror. Takes an hour or more.
# Usage: test/matrix.sh [--work DIR] [--unit-only] [SUITE[:COMPILER]...]    e.g. test/matrix.sh trixie sid:g++
#   --work DIR          a folder outside of this tree that is kept: the roots, with what was installed and compiled, for the
#                       next time; by default pgstate-matrix in TMPDIR or /var/tmp
#   --unit-only        compiles the same but for the contract and integration tests, and runs only the unit tests
#   SUITE[:COMPILER]    bookworm, trixie and sid, each with g++ and clang, unless others are named
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

say() { printf 'matrix: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

work=${TMPDIR:-/var/tmp}/pgstate-matrix
suites='unit;contract;integration'
wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --work) work=$(realpath -m "${2:?--work needs a folder}"); shift 2 ;;
        --unit-only) suites=unit; shift ;;
        bookworm | trixie | sid) wanted+=("$1:g++" "$1:clang"); shift ;;
        bookworm:* | trixie:* | sid:*) wanted+=("$1"); shift ;;
        *) sed -n '2,10s/^# //p' test/matrix.sh; [ "$1" = --help ]; exit ;;
    esac
done
[ ${#wanted[@]} != 0 ] || wanted=(bookworm:g++ bookworm:clang trixie:g++ trixie:clang sid:g++ sid:clang)
[ "$(id -u)" = 0 ] || fail "must be root, for chroot"
command -v debootstrap > /dev/null || fail "needs the program debootstrap"
mkdir -p "$work/log"

# make_root SUITE: a minimal Debian, from the mirror that this machine's apt uses.
make_root() {
    local root=$work/$1 mirror
    [ ! -e "$root.complete" ] || return 0
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "main" && $2 == "Debian" { print $3; exit }')
    [ -n "$mirror" ] || fail "apt has no source for Debian's main: add one"
    say "$1: debootstrap"
    rm -rf "$root"
    debootstrap --variant=minbase "$1" "$root" "$mirror" > "$work/log/$1.debootstrap" 2>&1 ||
        { tail -5 "$work/log/$1.debootstrap" >&2; fail "debootstrap failed"; }
    echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/unsafe-io" # as Debian's images have it
    # Whether the mirror is a snapshot, whose lists have expired, is the machine's to say.
    apt-config dump | grep -i '^Acquire::Check-' > "$root/etc/apt/apt.conf.d/machine" || true
    touch "$root.complete"
}

running= # the process that all those in a root end with
trap '[ -z "$running" ] || kill -KILL "$running" 2> /dev/null' EXIT
trap 'exit 130' INT TERM

# inside SUITE COMMAND: in the root, where mounts and processes are its own, and end with it.
inside() {
    local root=$work/$1 status=0
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    mkdir -p "$root/dev/pts" "$root/dev/shm"
    # shellcheck disable=SC2016 # expanded by the shell that is started
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$1/proc"
        mount -t devpts -o ptmxmode=666 devpts "$1/dev/pts"
        mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
        exec chroot "$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            CMAKE_BUILD_PARALLEL_LEVEL="$3" TMPDIR=/dev/shm CTEST_OUTPUT_ON_FAILURE=1 sh -ec "cd /pgstate && $2"' sh "$root" "$2" "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" < /dev/null &
    running=$!
    wait "$running" || status=$?
    running=
    return "$status"
}

# logged NAME SUITE COMMAND
logged() {
    say "$1: $3"
    inside "$2" "$3" >> "$work/log/$1" 2>&1 || { say "$1 failed, see $work/log/$1"; return 1; }
}

# versions SUITE CXX: the cells of a line of the table.
versions() {
    inside "$1" "
        defined() { echo '#include <'\$1'>' | $2 -x c++ -std=c++20 -dM -E - | sed -n 's/^#define '\$2' \"\\(.*\\)\"/\\1/p'; }
        printf '| %s | %s | %s | %s | %s | %s' \
            \"\$($2 -dumpfullversion 2> /dev/null || $2 -dumpversion)\" \
            \"\$(defined boost/version.hpp BOOST_LIB_VERSION | tr _ .)\" \"\$(defined pqxx/version PQXX_VERSION)\" \
            \"\$(pg_config --version | cut -d' ' -f2)\" \"\$(ls -r /usr/lib/postgresql | head -n 1)\" \
            \"\$(dpkg-query -W -f '\${Version}' catch2 | cut -d- -f1)\""
}

# try_out SUITE COMPILER: adds a line to the table.
try_out() {
    local name=$1.$2 compiler=g++ result=failed
    if [ "$2" != g++ ]; then
        case $1 in sid) compiler=clang++ ;; *) compiler=clang++-19 ;; esac
    fi
    rm -f "$work/log/$name"
    make_root "$1"
    # The tree as it is, under the time of each file: what has not changed is not compiled again.
    mkdir -p "$work/$1/pgstate"
    find "$work/$1/pgstate" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    tar --anchored --exclude=./build --exclude=./.git -cf - . | tar -xf - -C "$work/$1/pgstate" --no-same-owner
    if logged "$name" "$1" docker/install-dependencies.sh &&
        logged "$name" "$1" "cmake --preset release -B build/$2 -DCMAKE_CXX_COMPILER=$compiler \
            '-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DNDEBUG' -DPGSTATE_BUILD_BENCH=OFF -DPGSTATE_BUILD_EXAMPLES=OFF \
            -DPGSTATE_CHECK_HEADERS=OFF '-DPGSTATE_TEST_SUITES=$suites'" &&
        logged "$name" "$1" "nice -n 19 cmake --build build/$2 -- -k 0" &&
        logged "$name" "$1" "ctest --test-dir build/$2 -L '^(${suites//;/|})$' -j 4"; then
        result="passed ($suites)"
    fi
    table+=("| $1 $(versions "$1" "$compiler" | sed "s/^| /| $2 /") | $result, $(date +%F) |")
    [ "$result" != failed ] || failed=yes
}

table=() failed=
for each in "${wanted[@]}"; do
    try_out "${each%:*}" "${each#*:}"
done
printf '\n| suite | compiler | Boost | libpqxx | libpq | PostgreSQL | Catch2 | result |\n|---|---|---|---|---|---|---|---|\n'
printf '%s\n' "${table[@]}"
[ -z "$failed" ]
