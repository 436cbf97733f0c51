#!/usr/bin/env bash
# Builds the pgx peer from Debian's packages alone: Go, pgx v5 and what pgx needs are unpacked in OUT_DIR, and nothing
# is installed. They come from Debian's unstable suite, the only one that has pgx v5, through the mirror that this
# machine's apt already uses. Run it again at will: when nothing changed it returns at once.
# Usage: build.sh OUT_DIR     makes OUT_DIR/pgxpeer, and OUT_DIR/versions: "pgx V" and "go V", a line each
set -euo pipefail
export LC_ALL=C

say() { printf 'pgx peer: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

case ${1:-} in
    '' | -h | --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

if [ "$out/pgxpeer" -nt "$here/main.go" ] && [ "$out/pgxpeer" -nt "$here/build.sh" ]; then
    say "nothing to do"
    exit 0
fi

# unpack ROOT: fills it with Go and the sources of pgx.
unpack() {
    local root=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg scratch=$out/apt mirror go private
    # shellcheck disable=SC1091
    . /etc/os-release
    # apt itself says where the release comes from, however its sources are written.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="${VERSION_CODENAME:-}" '$1 == codename && $2 == "main" && $3 == "Debian" { print $4; exit }')
    [ -n "$mirror" ] || fail "apt on this machine has no source for Debian's main archive, which has Go and pgx"

    rm -rf "$scratch"
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/packages" "$root"
    printf 'deb [signed-by=%s] %s sid main\n' "$keyring" "$mirror" > "$scratch/sources.list"
    private=(-qq -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=-
             -o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache"
             -o APT::Sandbox::User=root -o Acquire::Retries=3)
    say "reading the package lists"
    apt-get "${private[@]}" update
    # golang-go depends on the current compiler, whose package has the version in its name.
    go=$(apt-cache "${private[@]}" show golang-go | sed -n 's/^Depends:.*\(golang-1\.[0-9]*\)-go.*/\1/p' | head -n 1)
    [ -n "$go" ] || fail "the archive has no Go compiler"
    say "downloading $go and pgx"
    (
        cd "$scratch/packages"
        apt-get "${private[@]}" download "$go-go" "$go-src" golang-github-jackc-pgx-v5-dev \
            golang-github-jackc-puddle-v2-dev golang-github-jackc-pgpassfile-dev \
            golang-github-jackc-pgservicefile-dev golang-golang-x-text-dev golang-golang-x-sync-dev
    )
    local package
    for package in "$scratch"/packages/*.deb; do
        dpkg-deb -x "$package" "$root"
    done
    {
        printf 'pgx %s\n' "$(dpkg-deb -f "$scratch"/packages/golang-github-jackc-pgx-v5-dev_*.deb Version)"
        printf 'go %s\n' "$(dpkg-deb -f "$scratch/packages/$go"-go_*.deb Version)"
    } > "$out/versions"
    rm -rf "$scratch"
}

# The sources of Debian's packages as vendored modules: module mode, in which Go has today's defaults.
modules=(github.com/jackc/pgx/v5 github.com/jackc/puddle/v2 github.com/jackc/pgpassfile
         github.com/jackc/pgservicefile golang.org/x/sync golang.org/x/text)

write_modules() {
    local root=$1 build=$2 module version
    # Which versions these are does not matter to Go, only that both files name the same.
    printf 'module pgxpeer\n\ngo 1.25\n\nrequire (\n' > "$build/go.mod"
    : > "$build/vendor/modules.txt"
    for module in "${modules[@]}"; do
        case $module in */v5) version=v5.0.0 ;; */v2) version=v2.0.0 ;; *) version=v0.0.1 ;; esac
        printf '\t%s %s\n' "$module" "$version" >> "$build/go.mod"
        mkdir -p "$build/vendor/$module"
        cp -RL "$root/usr/share/gocode/src/$module/." "$build/vendor/$module"
        printf '# %s %s\n## explicit; go 1.24\n' "$module" "$version" >> "$build/vendor/modules.txt"
        (cd "$build/vendor" && find "$module" -name '*.go' ! -name '*_test.go' -printf '%h\n' | sort -u) \
            >> "$build/vendor/modules.txt"
    done
    printf ')\n' >> "$build/go.mod"
}

root=$out/root
if ! [ "$root/complete" -nt "$here/build.sh" ]; then
    rm -rf "$root"
    unpack "$root"
    touch "$root/complete"
fi

say "building"
build=$out/build
rm -rf "$build"
mkdir -p "$build/vendor"
cp "$here/main.go" "$build"
write_modules "$root" "$build"
(
    cd "$build"
    compiler=$(find "$root/usr/lib" -maxdepth 1 -name 'go-1.*' | head -n 1)
    # No network, no C compiler, nothing in the home directory.
    GOROOT=$compiler GOPATH=$out/gopath GOCACHE=$out/gocache GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local \
        GOFLAGS=-mod=vendor GOWORK=off GOENV=off GO111MODULE=on CGO_ENABLED=0 \
        "$compiler/bin/go" build -o "$out/pgxpeer" .
)
touch "$out/pgxpeer"
say "built $out/pgxpeer ($(paste -sd, "$out/versions"))"
