#pragma once

// PGSTATE_STATIC is defined for users of the static library, PGSTATE_BUILDING while the library itself is compiled.
#if defined(PGSTATE_STATIC)
#    define PGSTATE_API
#elif defined(_WIN32)
#    if defined(PGSTATE_BUILDING)
#        define PGSTATE_API __declspec(dllexport)
#    else
#        define PGSTATE_API __declspec(dllimport)
#    endif
#else
#    define PGSTATE_API __attribute__((visibility("default")))
#endif
