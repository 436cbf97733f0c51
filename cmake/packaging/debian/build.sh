#!/usr/bin/env bash
# Builds the Debian packages, of shared libraries: cmake/packaging/debian/build.sh [FOLDER], where they are put; build/deb
# otherwise. All that pgstate is linked with must come from packages, as on Debian 13. Needs dpkg-dev.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
output=$(realpath -m "${1:-build/deb}")

# As Debian compiles: hardened, and without the path of this folder.
DEB_BUILD_MAINT_OPTIONS=hardening=+all
export DEB_BUILD_MAINT_OPTIONS
eval "$(dpkg-buildflags --export=sh)"

cmake -S . -B build/deb -G Ninja --fresh \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-DNDEBUG -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=5 \
    -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_SHARED_LIBS=ON \
    -DPGSTATE_BUILD_TESTS=OFF -DPGSTATE_BUILD_BENCH=OFF -DPGSTATE_BUILD_EXAMPLES=OFF -DPGSTATE_WARNINGS_AS_ERRORS=OFF
cmake --build build/deb
cpack --config build/deb/CPackConfig.cmake -B "$output"
rm -rf "$output/_CPack_Packages"
