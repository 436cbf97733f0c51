# cpack -G DEB: Debian's packages, as cmake/packaging/debian/build.sh makes them. Of shared libraries each is a package, named
# by its SONAME, so that nobody has to have what an adapter adapts; of static ones there is only libpgstate-dev.
set(pgstate_abi "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
set(pgstate_debian_dir "${CMAKE_CURRENT_SOURCE_DIR}/cmake/packaging/debian")
set(PGSTATE_DEBIAN_MAINTAINER "The pgstate authors <pgstate@example.org>" CACHE STRING
    "Who answers for the Debian packages: NAME <ADDRESS>")
mark_as_advanced(PGSTATE_DEBIAN_MAINTAINER)

set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own
set(CPACK_COMPONENTS_ALL)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${PGSTATE_DEBIAN_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SOURCE pgstate)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}") # an adapter's library uses the library
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

string(TIMESTAMP pgstate_debian_date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, if that is set
configure_file("${pgstate_debian_dir}/changelog.in" debian/changelog.Debian @ONLY)
find_program(PGSTATE_GZIP gzip)
mark_as_advanced(PGSTATE_GZIP)
if(PGSTATE_GZIP)
    execute_process(COMMAND "${PGSTATE_GZIP}" -9nkf "${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.Debian"
        COMMAND_ERROR_IS_FATAL ANY)
endif()

# pgstate_package(COMPONENT PACKAGE SECTION SUMMARY text [DESCRIPTION text] [NEEDS component...] [DEPENDS package...])
function(pgstate_package component package section)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "SUMMARY;DESCRIPTION" "NEEDS;DEPENDS")
    string(TOUPPER ${component} upper)
    list(JOIN arg_DEPENDS ", " depends)
    set(documents "share/doc/${package}")
    # Not a part of an installation by hand.
    install(FILES "${pgstate_debian_dir}/copyright" DESTINATION "${documents}" COMPONENT ${component} EXCLUDE_FROM_ALL)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.Debian.gz"
        DESTINATION "${documents}" COMPONENT ${component} EXCLUDE_FROM_ALL)

    set(settings
        CPACK_DEBIAN_${upper}_PACKAGE_NAME "${package}"
        CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section}
        CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${depends}"
        CPACK_DEBIAN_${upper}_DESCRIPTION "${arg_SUMMARY}\n${arg_DESCRIPTION}")
    while(settings)
        list(POP_FRONT settings name value)
        set(${name} "${value}" PARENT_SCOPE)
    endwhile()
    if(section STREQUAL "libs")
        set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${pgstate_debian_dir}/triggers" PARENT_SCOPE)
    endif()
    set(CPACK_COMPONENT_${upper}_DEPENDS ${arg_NEEDS} PARENT_SCOPE)
    set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${component} PARENT_SCOPE)
endfunction()

set(pgstate_about "pgstate is a C++20 library for programs on Boost.Asio that keep the state of AI
agents in PostgreSQL: versions, batching, a connection pool, expiry and
telemetry, by coroutines or any other completion token.
.
This package has")

set(pgstate_library_components)
set(pgstate_development_packages libpqxx-dev libboost-dev libboost-json-dev)
if(BUILD_SHARED_LIBS)
    pgstate_package(core libpgstate${pgstate_abi} libs
        SUMMARY "state of AI agents in PostgreSQL, for Boost.Asio - library"
        DESCRIPTION "${pgstate_about} the shared library.")
    set(pgstate_library_components core)
    if(TARGET pgstate_embedded)
        pgstate_package(embedded libpgstate-embedded${pgstate_abi} libs
            NEEDS core DEPENDS postgresql
            SUMMARY "state of AI agents in PostgreSQL - private server"
            DESCRIPTION "${pgstate_about} the library that runs a private PostgreSQL, for tests\nand demonstrations.")
        list(APPEND pgstate_library_components embedded)
    endif()
    foreach(adapter IN ITEMS spdlog prometheus opentelemetry)
        if(TARGET pgstate_${adapter})
            pgstate_package(${adapter} libpgstate-${adapter}${pgstate_abi} libs
                NEEDS core
                SUMMARY "state of AI agents in PostgreSQL - adapter for ${adapter}"
                DESCRIPTION "${pgstate_about} the adapter for ${adapter}.")
            list(APPEND pgstate_library_components ${adapter})
        endif()
    endforeach()
else()
    list(APPEND pgstate_development_packages libpq-dev libssl-dev libboost-filesystem-dev libboost-url-dev)
endif()
pgstate_package(development libpgstate-dev libdevel
    NEEDS ${pgstate_library_components} DEPENDS ${pgstate_development_packages}
    SUMMARY "state of AI agents in PostgreSQL, for Boost.Asio - development files"
    DESCRIPTION "${pgstate_about} what one compiles with: headers, and files for CMake\nand pkg-config.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libspdlog-dev, prometheus-cpp-dev, opentelemetry-cpp-dev, postgresql")
if(TARGET pgstate_cli)
    pgstate_package(program pgstate database
        SUMMARY "state of AI agents in PostgreSQL - command line"
        DESCRIPTION "${pgstate_about} the program pgstate, which lists, shows, changes, exports\nand imports states.")
    if(BUILD_SHARED_LIBS)
        set(CPACK_COMPONENT_PROGRAM_DEPENDS core)
    endif()
endif()
include(CPack)
