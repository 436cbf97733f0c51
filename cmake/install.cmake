include(CMakePackageConfigHelpers)

set(pgstate_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/pgstate")

# Each component has an export set of its own, so that a project loads only what it asks for.
function(pgstate_install target component)
    install(TARGETS ${target} EXPORT pgstate-${component}
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    install(EXPORT pgstate-${component}
        FILE pgstate-${component}-targets.cmake NAMESPACE pgstate:: DESTINATION "${pgstate_cmake_dir}")
endfunction()

pgstate_install(pgstate core)
set(pgstate_header_exclude PATTERN adapters EXCLUDE)
if(PGSTATE_BUILD_EMBEDDED)
    pgstate_install(pgstate_embedded embedded)
else()
    list(APPEND pgstate_header_exclude PATTERN embedded_server.hpp EXCLUDE)
endif()
foreach(adapter IN ITEMS spdlog prometheus opentelemetry)
    if(TARGET pgstate_${adapter})
        pgstate_install(pgstate_${adapter} ${adapter})
        install(DIRECTORY include/pgstate/adapters DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/pgstate"
            FILES_MATCHING PATTERN "${adapter}*.hpp")
    endif()
endforeach()

install(DIRECTORY include/pgstate DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" ${pgstate_header_exclude})
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")

configure_package_config_file(cmake/pgstateConfig.cmake.in pgstateConfig.cmake
    INSTALL_DESTINATION "${pgstate_cmake_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(pgstateConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
        "${CMAKE_CURRENT_BINARY_DIR}/pgstateConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/pgstateConfigVersion.cmake"
        cmake/Findlibpqxx.cmake
    DESTINATION "${pgstate_cmake_dir}")
