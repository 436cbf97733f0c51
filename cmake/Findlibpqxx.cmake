# Finds libpqxx as libpqxx::pqxx: through the CMake files that it installs, or through pkg-config, because
# distributions that build it with autotools ship no CMake files.
include(FindPackageHandleStandardArgs)

# Its CMake files accept only their own major version, so each is asked for.
find_package(libpqxx ${libpqxx_FIND_VERSION} CONFIG QUIET)
if(NOT TARGET libpqxx::pqxx)
    find_package(libpqxx 8 CONFIG QUIET)
endif()

if(TARGET libpqxx::pqxx)
    set(libpqxx_location "${libpqxx_DIR}")
else()
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(LIBPQXX_PC QUIET IMPORTED_TARGET libpqxx>=${libpqxx_FIND_VERSION})
    endif()
    if(TARGET PkgConfig::LIBPQXX_PC)
        add_library(libpqxx::pqxx INTERFACE IMPORTED)
        target_link_libraries(libpqxx::pqxx INTERFACE PkgConfig::LIBPQXX_PC)
        set(libpqxx_VERSION "${LIBPQXX_PC_VERSION}")
        set(libpqxx_location "${LIBPQXX_PC_LINK_LIBRARIES}")
    endif()
endif()

find_package_handle_standard_args(libpqxx REQUIRED_VARS libpqxx_location VERSION_VAR libpqxx_VERSION)
