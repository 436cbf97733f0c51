#!/usr/bin/env bash
# Installs a finished build into a fresh prefix, then builds and runs a project that knows nothing but that prefix: with
# CMake, by hand with pkg-config, and with the prefix moved. Of shared libraries, looks at what they export as well.
# Usage: test/package/run.sh BUILD_DIR
set -euo pipefail
build=$(cd "${1:?usage: test/package/run.sh BUILD_DIR}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf 'package: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

cmake --install "$build" --prefix "$scratch/installed" > /dev/null
mv "$scratch/installed" "$scratch/prefix" # no file may name the place
libraries=$(dirname "$(find "$scratch/prefix" -name pkgconfig)")
if grep -rIl "$scratch/installed" "$scratch/prefix"; then fail "these files name the prefix"; fi

configure() { # FOLDER OPTION...
    cmake -S "$here" -B "$scratch/$1" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_PREFIX_PATH="$scratch/prefix${PGSTATE_PREFIX:+;$PGSTATE_PREFIX}" "${@:2}"
}

say "with CMake"
configure cmake
cmake --build "$scratch/cmake"
"$scratch/cmake/consumer" | tee "$scratch/cmake.out"

say "a component that is not there"
if configure missing -DPGSTATE_COMPONENTS=nonsense > "$scratch/missing.out" 2>&1; then
    fail "a component that does not exist was found"
fi
grep -q "no component nonsense" "$scratch/missing.out" || { cat "$scratch/missing.out"; fail "the error does not name the component"; }
configure optional -DPGSTATE_OPTIONAL_COMPONENTS=nonsense > "$scratch/optional.out" 2>&1 ||
    { cat "$scratch/optional.out"; fail "an optional component that does not exist is an error"; }

say "by hand, with pkg-config"
export PKG_CONFIG_PATH=$libraries/pkgconfig${PGSTATE_PREFIX:+:$PGSTATE_PREFIX/lib/pkgconfig}${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
modules=(pgstate)
definitions=()
for component in embedded spdlog prometheus opentelemetry; do
    if [ -e "$libraries/pkgconfig/pgstate-$component.pc" ]; then
        modules+=("pgstate-$component")
        definitions+=("-DHAVE_${component^^}")
    fi
done
how=(--static) # must do no harm to who has shared libraries, either
# shellcheck disable=SC2046 # words
${CXX:-c++} -std=c++20 -O0 "${definitions[@]}" "$here/main.cpp" -o "$scratch/by_hand" \
    $(pkg-config --cflags --libs "${how[@]}" "${modules[@]}") -Wl,-rpath,"$libraries${PGSTATE_PREFIX:+:$PGSTATE_PREFIX/lib}"
"$scratch/by_hand" | tee "$scratch/by_hand.out"
diff <(grep -v '^\[' "$scratch/cmake.out") <(grep -v '^\[' "$scratch/by_hand.out") # but for what is logged
[ "$(pkg-config --modversion pgstate)" = "$(sed -n 's/^version //p' "$scratch/by_hand.out")" ] || fail "pgstate.pc has another version"

if compgen -G "$libraries/libpgstate*.so" > /dev/null; then
    say "what the shared libraries export"
    python3 "$here/check_exports.py" "$libraries" "$scratch/prefix/include"
fi
say "everything passed"
