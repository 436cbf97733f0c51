include(CMakePackageConfigHelpers)

set(pgstate_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/pgstate")

# Each library has an export set of its own, so that a project loads only what it asks for, and a component of the
# installation, for a package of its own: the library's file. What one compiles with is in the component `development`.
function(pgstate_install target name)
    install(TARGETS ${target} EXPORT pgstate-${name}
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT ${name}
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${name} NAMELINK_COMPONENT development
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
    install(EXPORT pgstate-${name}
        FILE pgstate-${name}-targets.cmake NAMESPACE pgstate::
        DESTINATION "${pgstate_cmake_dir}" COMPONENT development)
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
        install(DIRECTORY include/pgstate/adapters
            DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/pgstate" COMPONENT development
            FILES_MATCHING PATTERN "${adapter}*.hpp")
    endif()
endforeach()
if(TARGET pgstate_cli)
    install(TARGETS pgstate_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT program)
endif()

install(DIRECTORY include/pgstate
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development
    ${pgstate_header_exclude})
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT license)

if(BUILD_SHARED_LIBS)
    set(pgstate_is_shared ON)
else()
    set(pgstate_is_shared OFF)
endif()
configure_package_config_file(cmake/pgstateConfig.cmake.in pgstateConfig.cmake
    INSTALL_DESTINATION "${pgstate_cmake_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(pgstateConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
        "${CMAKE_CURRENT_BINARY_DIR}/pgstateConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/pgstateConfigVersion.cmake"
        cmake/Findlibpqxx.cmake
    DESTINATION "${pgstate_cmake_dir}" COMPONENT development)

include(pkgconfig)
if(PROJECT_IS_TOP_LEVEL)
    include(packages)
endif()
