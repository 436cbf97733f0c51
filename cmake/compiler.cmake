# How pgstate's own code is compiled. Only targets that link pgstate_compiler get the warnings, so dependencies that are
# built along with pgstate keep their own.
# Not -Wnull-dereference: with optimization it reports what it inlines from the standard library and from Asio.
# Not -Wnon-virtual-dtor: it refuses every error_category; -Wall refuses to delete through such a base all the same.
add_library(pgstate_compiler INTERFACE)
target_compile_features(pgstate_compiler INTERFACE cxx_std_20)
target_compile_options(pgstate_compiler INTERFACE
    -Wall -Wextra -Wpedantic
    -Wcast-align -Wcast-qual -Wconversion -Wdouble-promotion -Wextra-semi -Wformat=2
    -Wold-style-cast -Woverloaded-virtual -Wshadow -Wsign-conversion -Wunused -Wvla
    $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-branches -Wduplicated-cond -Wlogical-op -Wredundant-decls>
    $<$<BOOL:${PGSTATE_WARNINGS_AS_ERRORS}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15)
    # g++ 12 and 14 see overruns in the standard library's own string operations (GCC bugs 105329 and 105651).
    target_compile_options(pgstate_compiler INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 16)
    # g++ 16 takes a vector's memory for what lies inside of it, where a list that initialized it is optimized away.
    target_compile_options(pgstate_compiler INTERFACE -Wno-free-nonheap-object)
endif()
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # What a source keeps to itself looks to g++ as if it came from a header, once several sources are compiled as one.
    # And with more to inline, it takes libpqxx's parameters for uninitialized.
    target_compile_options(pgstate_compiler INTERFACE -Wno-subobject-linkage -Wno-maybe-uninitialized)
endif()
if(PGSTATE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # What a sanitizer adds to the code misleads the warnings that come from the optimizer.
    target_compile_options(pgstate_compiler INTERFACE
        -Wno-array-bounds -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow)
endif()

# Everything else here concerns a build of pgstate itself, never that of a project that includes it.
if(NOT PROJECT_IS_TOP_LEVEL)
    function(pgstate_precompile)
    endfunction()
    function(pgstate_reuse_precompiled)
    endfunction()
    return()
endif()

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

# g++ collects its garbage less often, which is a sixth of its time, for a fifth more memory.
add_compile_options("$<$<CXX_COMPILER_ID:GNU>:SHELL:--param ggc-min-heapsize=1048576>")

if(PGSTATE_SANITIZE)
    add_compile_options(-fsanitize=${PGSTATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${PGSTATE_SANITIZE})
    if(PGSTATE_SANITIZE MATCHES "undefined" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # Undefined behaviour ends the process by SIGILL, of which the address sanitizer prints the stack: the calls that
        # would also say what it was are a quarter of the time to compile.
        add_compile_options(-fsanitize-undefined-trap-on-error)
    endif()
    if(PGSTATE_SANITIZE MATCHES "thread")
        # The thread sanitizer does not understand the fences of Asio's reference counts and would report what they
        # order. This makes Asio count with acquire and release operations, which it does understand.
        add_compile_definitions(BOOST_ASIO_DISABLE_STD_ATOMIC)
        add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>) # for the fences that newer releases of Asio keep
    endif()
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()

find_program(PGSTATE_CCACHE ccache DOC "ccache, used when it is there")
mark_as_advanced(PGSTATE_CCACHE)
if(PGSTATE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    # The sloppiness is what ccache asks for to work with precompiled headers.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${PGSTATE_CCACHE}")
endif()

# pgstate_precompile(TARGET [HEADER...]): precompiles what nearly every source of TARGET includes, and HEADER.
function(pgstate_precompile target)
    if(PGSTATE_PCH)
        target_precompile_headers(${target} PRIVATE
            <boost/asio/any_completion_handler.hpp> <boost/asio/any_io_executor.hpp> <boost/asio/awaitable.hpp>
            <boost/asio/bind_cancellation_slot.hpp> <boost/asio/co_spawn.hpp> <boost/asio/dispatch.hpp>
            <boost/asio/io_context.hpp> <boost/asio/post.hpp> <boost/asio/steady_timer.hpp> <boost/asio/strand.hpp>
            <boost/asio/this_coro.hpp> <boost/asio/use_awaitable.hpp> <boost/json.hpp> <boost/system/result.hpp>
            <chrono> <functional> <memory> <mutex> <optional> <string> <string_view> <thread> <unordered_map> <vector>
            ${ARGN})
        pgstate_let_ccache_look(${target})
    endif()
endfunction()

# pgstate_reuse_precompiled(TARGET OTHER): gives TARGET what was precompiled for OTHER.
function(pgstate_reuse_precompiled target other)
    if(PGSTATE_PCH)
        target_precompile_headers(${target} REUSE_FROM ${other})
        pgstate_let_ccache_look(${target})
    endif()
endfunction()

# With g++, ccache caches what uses a precompiled header only under this option.
function(pgstate_let_ccache_look target)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endfunction()
