#!/usr/bin/env bash
# Carries out docker/Dockerfile on Debian 13 without a container engine: its instructions are read from it, and followed in
# folders that debootstrap makes. All stages are built, the tests among them; then the final stage's server is run as the
# image says (check_image.py). Needs root, debootstrap and a machine whose apt has Debian's mirror. What it mounts and
# starts ends with it.
# Usage: docker/check_debian13.sh [--file DOCKERFILE] [--work DIR] [--no-tests]
#   --file DOCKERFILE   another one; if it has no ENTRYPOINT, nothing is run but its steps
#   --work DIR          a folder that is kept: the stages, and for the next time what was downloaded and compiled
#   --no-tests          leaves out the stage `test`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

say() { printf 'check_debian13: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

dockerfile=docker/Dockerfile
work=
tests=yes
while [ $# -gt 0 ]; do
    case $1 in
        --file) dockerfile=${2:?--file needs a Dockerfile}; shift 2 ;;
        --work) work=$(realpath -m "${2:?--work needs a folder}"); shift 2 ;;
        --no-tests) tests=no; shift ;;
        *) sed -n '2,9s/^# //p' docker/check_debian13.sh; [ "$1" = --help ]; exit ;;
    esac
done

# The work is done by this script once more, where mounts and processes are its own.
if [ -z "${PGSTATE_CHECK_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || fail "must be root, for chroot"
    for program in debootstrap ip; do
        command -v "$program" > /dev/null || fail "needs the program $program"
    done
    scratch=
    inside=
    trap '[ -z "$inside" ] || kill -KILL "$inside" 2> /dev/null || true; wait; [ -z "$scratch" ] || rm -rf "$scratch"' EXIT
    trap 'exit 130' INT TERM
    if [ -z "$work" ]; then
        scratch=$(mktemp -d /var/tmp/pgstate-debian13.XXXXXX)
        work=$scratch
    fi
    options=(--file "$dockerfile" --work "$work")
    [ $tests = yes ] || options+=(--no-tests)
    PGSTATE_CHECK_INSIDE=yes unshare --mount --pid --fork --kill-child --mount-proc \
        docker/check_debian13.sh "${options[@]}" &
    inside=$!
    status=0
    wait "$inside" || status=$?
    inside=
    exit "$status"
fi

# make_base: a minimal Debian 13, from the mirror that this machine's apt uses.
make_base() {
    local mirror
    [ ! -e "$work/base.complete" ] || return 0
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "main" && $2 == "Debian" { print $3; exit }')
    [ -n "$mirror" ] || fail "apt has no source for Debian's main: add one"
    say "debootstrap"
    rm -rf "$work/base"
    debootstrap --variant=minbase trixie "$work/base" "$mirror" > "$work/debootstrap.log" 2>&1 ||
        { tail -5 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
    echo force-unsafe-io > "$work/base/etc/dpkg/dpkg.cfg.d/unsafe-io" # as Debian's images have it
    touch "$work/base.complete"
}

# copy_context: what COPY sees: this tree without what .dockerignore names.
copy_context() {
    local pattern
    local exclude=()
    while read -r pattern; do
        case $pattern in
            "" | "#"*) ;;
            '**/'*) exclude+=(--no-anchored "--exclude=${pattern#'**/'}") ;;
            *) exclude+=(--anchored "--exclude=./$pattern") ;;
        esac
    done < .dockerignore
    rm -rf "$work/context"
    mkdir "$work/context"
    tar "${exclude[@]}" -cf - . | tar -xf - -C "$work/context" --no-same-owner
}

# instructions: those of the Dockerfile, each in one line.
instructions() {
    sed '/^[[:space:]]*#/d' "$dockerfile" | sed -e ':again' -e '/\\$/ { N; s/\\\n[[:space:]]*//; b again' -e '}' | grep .
}

# enter_stage NAME: what runs in a container sees.
enter_stage() {
    root=$work/stages/$1
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/root/.cache/ccache" "$root/var/cache/apt/archives"
    mount -t proc proc "$root/proc"
    mount -t devpts -o ptmxmode=666 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount --bind "$work/archives" "$root/var/cache/apt/archives"
    mount --bind "$work/ccache" "$root/root/.cache/ccache"
}

leave_stage() {
    [ -z "$root" ] ||
        umount "$root/root/.cache/ccache" "$root/var/cache/apt/archives" "$root/dev/shm" "$root/dev/pts" "$root/proc"
    root=
}

from() { # IMAGE [AS NAME]
    stage=${3:-final}
    leave_stage
    say "stage $stage"
    local image=$work/stages/$1
    case $1 in debian:13 | debian:13-slim) image=$work/base ;; esac
    rm -rf "${work:?}/stages/$stage"
    cp -a "$image" "$work/stages/$stage"
    directory=/
    [ ! -e "$work/stages/$1.directory" ] || directory=$(cat "$work/stages/$1.directory") # a stage goes on where its base was
    printf '%s\n' "$directory" > "$work/stages/$stage.directory"
    image_configuration=$work/stages/$stage.instructions
    : > "$image_configuration"
    enter_stage "$stage"
}

copy() { # [--from=STAGE] SOURCE DESTINATION
    local base=$work/context source destination
    case $1 in --from=*) base=$work/stages/${1#--from=}; shift ;; esac
    source=$base/${1#/}
    case $2 in /*) destination=$root$2 ;; *) destination=$root$directory/$2 ;; esac
    mkdir -p "$destination"
    if [ -d "$source" ]; then cp -a "$source/." "$destination"; else cp -a "$source" "$destination"; fi
}

run() { # COMMAND
    say "RUN $1"
    local start=$SECONDS
    chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        CMAKE_BUILD_PARALLEL_LEVEL="$(nproc)" sh -c "cd $directory && { $1
        }" < /dev/null || fail "failed after $((SECONDS - start)) s: $1"
    say "took $((SECONDS - start)) s"
}

mkdir -p "$work/archives/partial" "$work/ccache" "$work/stages"
make_base
copy_context
root='' directory='' stage='' skipping=no
while read -r instruction rest; do
    if [ "$instruction" = FROM ]; then
        skipping=no
        case "$tests $rest" in "no "*" AS test") skipping=yes ;; esac
    fi
    [ $skipping = no ] || continue
    # shellcheck disable=SC2086 # words, as Docker takes them
    case $instruction in
        FROM) from $rest ;;
        WORKDIR) directory=$rest; mkdir -p "$root$directory"; printf '%s\n' "$directory" > "$work/stages/$stage.directory" ;;
        COPY) copy $rest ;;
        RUN) run "$rest" ;;
        ARG | LABEL | EXPOSE) ;; # change nothing that is checked here
        USER | ENTRYPOINT | CMD | HEALTHCHECK | STOPSIGNAL) printf '%s %s\n' "$instruction" "$rest" >> "$image_configuration" ;;
        *) fail "does not know the instruction $instruction" ;;
    esac
done < <(instructions)

if grep -q '^ENTRYPOINT ' "$image_configuration"; then
    say "checking the image"
    leave_stage
    enter_stage build
    # In a network of its own, so that nobody else has the image's port.
    unshare --net sh -c 'ip link set lo up && exec python3 docker/check_image.py "$@"' sh \
        "$work/stages/build" "$work/stages/final" "$image_configuration"
fi
say "everything passed in $SECONDS s"
