#!/usr/bin/env bash
# Installs everything that building and testing pgstate needs, on Debian 12, 13 and unstable and on Ubuntu 24.04.
# Run it again at will: when nothing is missing it returns at once and changes nothing.
#
# Debian 12 lacks three things. Catch2 3 and opentelemetry-cpp come from its backports, and libpqxx is built from the
# source package of the next Debian release into a prefix: PGSTATE_PREFIX, or /usr/local. All come from the mirror that
# this machine's apt already uses, through an apt configuration that is thrown away afterwards.
# Ubuntu 24.04 has no opentelemetry-cpp: there pgstate is built without the adapter for it.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

prefix=${PGSTATE_PREFIX:-/usr/local}
libpqxx_minimum=7.8

say() { printf 'install-dependencies: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; fi; }
apt() { as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"; }

[ -r /etc/os-release ] || fail "no /etc/os-release: install the packages listed in this script by hand"
# shellcheck disable=SC1091
. /etc/os-release

packages=(g++ cmake ninja-build ccache pkg-config python3 libpq-dev libssl-dev libspdlog-dev prometheus-cpp-dev
          postgresql catch2 pgbouncer openssl libcli11-dev nlohmann-json3-dev curl doxygen python3-jsonschema)
# opentelemetry-cpp, with what its CMake files look for and the package does not depend on.
opentelemetry=(opentelemetry-cpp-dev libabsl-dev libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc)
build_libpqxx=no
backports=none
backported=() # those of the packages that come from the backports
case ${ID:-}:${VERSION_ID:-${VERSION_CODENAME:-}} in # unstable has no VERSION_ID, but the name of the next release
    debian:12)
        # Boost's unversioned packages are 1.74 here.
        packages+=(libboost1.81-dev libboost-json1.81-dev libboost-filesystem1.81-dev libboost-system1.81-dev
                   libboost-program-options1.81-dev libboost-url1.81-dev clang-format-14 clang-19 "${opentelemetry[@]}")
        build_libpqxx=yes
        backports=bookworm-backports
        backported=(catch2 opentelemetry-cpp-dev)
        ;;
    debian:13)
        packages+=(libboost-dev libboost-json-dev libboost-filesystem-dev libboost-system-dev
                   libboost-program-options-dev libboost-url-dev libpqxx-dev clang-19 "${opentelemetry[@]}")
        ;;
    debian:forky)
        packages+=(libboost-dev libboost-json-dev libboost-filesystem-dev
                   libboost-program-options-dev libboost-url-dev libpqxx-dev clang "${opentelemetry[@]}")
        ;;
    ubuntu:24.04)
        packages+=(libboost1.83-dev libboost-json1.83-dev libboost-filesystem1.83-dev libboost-system1.83-dev
                   libboost-program-options1.83-dev libboost-url1.83-dev libpqxx-dev clang-format-14 clang-19)
        ;;
    *) fail "${PRETTY_NAME:-this system} is not known here; on others, install: ${packages[*]}, Boost 1.81, libpqxx 7.8" ;;
esac

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Whether the development files of package $1 are there in version $2 or newer.
has_version() { dpkg --compare-versions "$(dpkg-query -W -f='${Version}' "$1" 2>/dev/null || echo 0)" ge "$2"; }

has_libpqxx() {
    local header
    for header in "$prefix" /usr/local /usr; do
        header=$header/include/pqxx/version.hxx
        [ -r "$header" ] || continue
        dpkg --compare-versions "$(sed -n 's/.*PQXX_VERSION "\(.*\)".*/\1/p' "$header")" ge "$libpqxx_minimum"
        return
    done
    return 1
}

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
has_version catch2 3 || missing+=(catch2)
if [ $build_libpqxx = no ] || has_libpqxx; then build_libpqxx=no; fi
if [ ${#missing[@]} = 0 ] && [ $build_libpqxx = no ]; then
    say "nothing to do"
    exit 0
fi

scratch=$(mktemp -d)
policy= # a file of ours that says which services must not start
trap 'rm -rf "$scratch"; [ -z "$policy" ] || as_root rm -f "$policy"' EXIT
chmod 755 "$scratch" # apt drops its privileges to download

say "reading the package lists"
apt update

# use_suite TYPE SUITE: prepares `private` for an apt that sees SUITE of the machine's own mirror: packages (deb) beside
# what the machine itself sees, for what they depend on; sources (deb-src) alone.
use_suite() {
    local type=$1 suite=$2 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # apt itself says where the release comes from, however its sources are written.
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$VERSION_CODENAME" '$1 == codename && $2 == "main" && $3 == "Debian" { print $4; exit }')
    [ -n "$mirror" ] || fail "apt has no source for '$VERSION_CODENAME main': add one, or install libpqxx and Catch2 3 by hand"
    mkdir -p "$scratch/$suite/lists/partial" "$scratch/$suite/cache/archives/partial" "$scratch/$suite/parts"
    if [ "$type" = deb ]; then
        find /etc/apt/sources.list /etc/apt/sources.list.d -type f -exec cp {} "$scratch/$suite/parts" \; 2>/dev/null || true
    fi
    printf '%s [signed-by=%s] %s %s main\n' "$type" "$keyring" "$mirror" "$suite" > "$scratch/$suite/sources.list"
    private=(-o "Dir::Etc::sourcelist=$scratch/$suite/sources.list" -o "Dir::Etc::sourceparts=$scratch/$suite/parts"
             -o "Dir::State::lists=$scratch/$suite/lists" -o "Dir::Cache=$scratch/$suite/cache"
             -o APT::Sandbox::User=root)
    apt "${private[@]}" update
}

wanted=()
wanted_backported=()
for package in "${missing[@]}"; do
    if [[ " ${backported[*]} " = *" $package "* ]]; then wanted_backported+=("$package"); else wanted+=("$package"); fi
done

# A server that this machine did not have before must not bring a running one along: pgstate and its tests start their own.
if printf '%s\n' "${wanted[@]}" | grep -qx postgresql && ! is_installed postgresql-common; then
    say "installing postgresql-common"
    apt install --no-install-recommends postgresql-common
    as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
fi
# Nor a PgBouncer, now or when the machine starts; where somebody else says what may start, that holds.
new_pgbouncer=no
if printf '%s\n' "${wanted[@]}" | grep -qx pgbouncer; then
    new_pgbouncer=yes
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\ncase " $* " in *" pgbouncer "*) exit 101 ;; esac\nexit 0\n' > "$scratch/policy-rc.d"
        as_root install -m 755 "$scratch/policy-rc.d" "$policy"
    fi
fi
if [ ${#wanted[@]} != 0 ]; then
    say "installing ${wanted[*]}"
    apt install --no-install-recommends "${wanted[@]}"
fi
if [ $new_pgbouncer = yes ]; then as_root update-rc.d pgbouncer disable > /dev/null 2>&1 || true; fi
if [ ${#wanted_backported[@]} != 0 ]; then
    say "installing ${wanted_backported[*]} from $backports"
    use_suite deb "$backports"
    # By package, not with -t, which would take all that they depend on from there as well.
    apt "${private[@]}" install --no-install-recommends "${wanted_backported[@]/%//$backports}"
fi
if [ $build_libpqxx = yes ]; then
    say "building libpqxx into $prefix"
    use_suite deb-src trixie
    mkdir "$scratch/libpqxx"
    (
        cd "$scratch/libpqxx"
        apt "${private[@]}" source --download-only libpqxx
        tar -xf libpqxx_*.orig.tar.* --strip-components=1
        cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
            -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=ON -DSKIP_BUILD_TEST=ON > cmake.log 2>&1 ||
            { cat cmake.log >&2; exit 1; }
        cmake --build build > build.log 2>&1 || { cat build.log >&2; exit 1; }
        as_root cmake --install build > install.log 2>&1 || { cat install.log >&2; exit 1; }
    )
    as_root ldconfig
    has_libpqxx || fail "libpqxx was installed into $prefix, yet no libpqxx $libpqxx_minimum is found there"
fi
say "done"
