# Every dependency: what this machine has, if it is new enough, else the upstream release, pinned by its hash.
# libpq, OpenSSL and the compiler's own libraries are never built here.
include(FetchContent)

if(DEFINED ENV{PGSTATE_PREFIX}) # where docker/install-dependencies.sh was told to install
    list(PREPEND CMAKE_PREFIX_PATH "$ENV{PGSTATE_PREFIX}")
endif()

# The minimum versions, for here and for the projects that find the installed pgstate.
set(PGSTATE_BOOST_MINIMUM 1.81)
set(PGSTATE_LIBPQXX_MINIMUM 7.8)
set(PGSTATE_LIBPQ_MINIMUM 14)

find_package(Threads REQUIRED)
find_package(PostgreSQL ${PGSTATE_LIBPQ_MINIMUM} REQUIRED) # libpq
find_package(OpenSSL REQUIRED) # what libpq encrypts with: the wire asks it for decrypted bytes

set(pgstate_boost_components headers json url)
if(PGSTATE_BUILD_EMBEDDED)
    list(APPEND pgstate_boost_components filesystem)
endif()
FetchContent_Declare(Boost
    URL https://github.com/boostorg/boost/releases/download/boost-1.83.0/boost-1.83.0.tar.xz
    URL_HASH SHA256=c5a0688e1f0c05f354bbd0b32244d36085d9ffc9f932e8a18983a9908096f614
    DOWNLOAD_EXTRACT_TIMESTAMP OFF
    SYSTEM
    FIND_PACKAGE_ARGS ${PGSTATE_BOOST_MINIMUM} CONFIG COMPONENTS ${pgstate_boost_components})
FetchContent_Declare(libpqxx
    URL https://github.com/jtv/libpqxx/archive/refs/tags/7.10.0.tar.gz
    URL_HASH SHA256=d588bca36357eda8bcafd5bc1f95df1afe613fdc70c80e426fc89eecb828fc3e
    DOWNLOAD_EXTRACT_TIMESTAMP OFF
    SYSTEM
    FIND_PACKAGE_ARGS ${PGSTATE_LIBPQXX_MINIMUM} MODULE)
FetchContent_Declare(Catch2
    URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
    URL_HASH SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c
    DOWNLOAD_EXTRACT_TIMESTAMP OFF
    SYSTEM
    FIND_PACKAGE_ARGS 3)

block(SCOPE_FOR VARIABLES)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    set(BOOST_INCLUDE_LIBRARIES asio container crc endian filesystem intrusive json locale process program_options system url)
    set(BUILD_TESTING OFF)
    set(SKIP_BUILD_TEST ON)
    FetchContent_MakeAvailable(Boost libpqxx)
endblock()

# Boost's own CMake build has one target for every library, an installed Boost has one for all headers.
if(TARGET Boost::asio)
    set(PGSTATE_BOOST_TARGETS Boost::asio Boost::container Boost::endian Boost::intrusive Boost::json Boost::system)
    set(PGSTATE_BOOST_PROCESS_TARGETS Boost::process Boost::filesystem)
else()
    set(PGSTATE_BOOST_TARGETS Boost::headers Boost::json)
    set(PGSTATE_BOOST_PROCESS_TARGETS Boost::filesystem)
endif()

if(PGSTATE_INSTALL AND (TARGET Boost::asio OR TARGET pqxx))
    message(STATUS "pgstate: no install rules, because Boost or libpqxx is built along with it")
    set(PGSTATE_INSTALL OFF)
endif()

# What the program pgstate compares documents with.
find_package(nlohmann_json 3.9 CONFIG QUIET)
if(TARGET nlohmann_json::nlohmann_json)
    set_target_properties(nlohmann_json::nlohmann_json PROPERTIES IMPORTED_GLOBAL TRUE)
endif()

# Command lines: of the program pgstate and of the example server, which are built where it is installed.
find_package(CLI11 2.1 CONFIG QUIET)
if(TARGET CLI11::CLI11)
    # A target of this directory alone would not be seen in others.
    set_target_properties(CLI11::CLI11 PROPERTIES IMPORTED_GLOBAL TRUE)
endif()

# What the adapters adapt is taken from this machine, or from the project around pgstate: a program that logs or exports
# has it already.
# pgstate_find_adapted(ADAPTER TARGET PACKAGE [VERSION]): looks for PACKAGE, which makes TARGET, as PGSTATE_BUILD_ADAPTER says.
macro(pgstate_find_adapted adapter target package)
    if(PGSTATE_BUILD_${adapter} AND NOT TARGET ${target})
        if(PGSTATE_BUILD_${adapter} STREQUAL "AUTO")
            find_package(${package} ${ARGN} CONFIG GLOBAL QUIET)
        else()
            find_package(${package} ${ARGN} CONFIG GLOBAL REQUIRED)
        endif()
        if(NOT TARGET ${target})
            message(STATUS "pgstate: no ${package}, so no adapter for it (PGSTATE_BUILD_${adapter})")
            set(PGSTATE_BUILD_${adapter} OFF)
        endif()
    endif()
endmacro()

set(PGSTATE_SPDLOG_MINIMUM 1.10)
pgstate_find_adapted(SPDLOG spdlog::spdlog spdlog ${PGSTATE_SPDLOG_MINIMUM})
pgstate_find_adapted(PROMETHEUS prometheus-cpp::core prometheus-cpp)
pgstate_find_adapted(OPENTELEMETRY opentelemetry-cpp::api opentelemetry-cpp)
