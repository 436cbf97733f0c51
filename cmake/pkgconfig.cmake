# pgstate.pc, and pgstate-<name>.pc for each of the other libraries. They can be moved with the prefix.
# Whoever links the static libraries needs what they use, with or without --static, so nothing of it is private there.
# Libraries are named as files, not by libpq.pc and the like: with --static those ask for libraries that a program which
# links libpq.so does not need, and that are seldom installed.

# pgstate_link_flags(OUT TARGET...): -L and -l for imported libraries; -L only for where the linker does not look by itself.
function(pgstate_link_flags out)
    set(flags)
    foreach(target IN LISTS ARGN)
        get_target_property(location ${target} LOCATION)
        cmake_path(GET location PARENT_PATH directory)
        cmake_path(GET location FILENAME file)
        if(NOT directory IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
            list(APPEND flags "-L${directory}")
        endif()
        string(REGEX REPLACE "^lib(.*)\\.(so|a|dylib).*$" "-l\\1" flag "${file}")
        list(APPEND flags "${flag}")
    endforeach()
    list(REMOVE_DUPLICATES flags)
    list(JOIN flags " " flags)
    set(${out} "${flags}" PARENT_SCOPE)
endfunction()

# pgstate_pkgconfig(TARGET NAME DESCRIPTION text
#     [REQUIRES module...]      what its headers include
#     [LIBRARIES target...]     libraries that its headers need
#     [USES target...])         libraries that only it itself needs
function(pgstate_pkgconfig target pc_name)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "DESCRIPTION" "REQUIRES;LIBRARIES;USES")
    set(flags -pthread)
    if(NOT BUILD_SHARED_LIBS)
        list(APPEND flags -DPGSTATE_STATIC)
        list(APPEND arg_LIBRARIES ${arg_USES})
        set(arg_USES)
    endif()
    get_target_property(boost_headers Boost::headers INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT boost_headers IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
        list(APPEND flags "-I${boost_headers}")
    endif()
    list(JOIN flags " " pc_cflags)
    pgstate_link_flags(pc_libs ${arg_LIBRARIES})
    pgstate_link_flags(pc_libs_private ${arg_USES})
    list(JOIN arg_REQUIRES ", " pc_requires)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
        OUTPUT_VARIABLE pc_prefix)
    file(RELATIVE_PATH pc_includedir "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/pgstate.pc.in" "${pc_name}.pc" @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${pc_name}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)
endfunction()

pgstate_pkgconfig(pgstate pgstate
    DESCRIPTION "${PROJECT_DESCRIPTION}"
    REQUIRES "libpqxx >= ${PGSTATE_LIBPQXX_MINIMUM}"
    LIBRARIES Boost::json
    USES Boost::url PostgreSQL::PostgreSQL OpenSSL::SSL OpenSSL::Crypto)
if(TARGET pgstate_embedded)
    pgstate_pkgconfig(pgstate_embedded pgstate-embedded
        DESCRIPTION "A private PostgreSQL server for tests and demonstrations"
        REQUIRES "pgstate = ${PROJECT_VERSION}"
        USES Boost::filesystem)
endif()
foreach(adapter_module IN ITEMS spdlog=spdlog prometheus=prometheus-cpp-core opentelemetry=opentelemetry_api)
    string(REGEX MATCH "^(.*)=(.*)$" adapter_module "${adapter_module}")
    if(TARGET pgstate_${CMAKE_MATCH_1})
        pgstate_pkgconfig(pgstate_${CMAKE_MATCH_1} pgstate-${CMAKE_MATCH_1}
            DESCRIPTION "pgstate's adapter for ${CMAKE_MATCH_1}"
            REQUIRES "pgstate = ${PROJECT_VERSION}" ${CMAKE_MATCH_2})
    endif()
endforeach()
