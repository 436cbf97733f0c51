# The sources are those around this port, as an overlay takes them. A registry's port would have vcpkg_from_github here.
set(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../../..")

vcpkg_check_features(OUT_FEATURE_OPTIONS features
    FEATURES
        embedded PGSTATE_BUILD_EMBEDDED
        opentelemetry PGSTATE_BUILD_OPENTELEMETRY
        prometheus PGSTATE_BUILD_PROMETHEUS
        spdlog PGSTATE_BUILD_SPDLOG)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${features}
        -DPGSTATE_BUILD_BENCH=OFF
        -DPGSTATE_BUILD_CLI=OFF
        -DPGSTATE_BUILD_EXAMPLES=OFF
        -DPGSTATE_BUILD_TESTS=OFF
        -DPGSTATE_PCH=OFF
        -DPGSTATE_WARNINGS_AS_ERRORS=OFF
    MAYBE_UNUSED_VARIABLES PGSTATE_BUILD_CLI)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/pgstate)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
