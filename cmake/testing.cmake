# Every test runs with these, whoever starts it. The first report of a sanitizer ends the process.
set(pgstate_test_environment
    "ASAN_OPTIONS=detect_stack_use_after_return=1:halt_on_error=1:strict_string_checks=1:handle_sigill=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# pgstate_add_test(NAME name LABEL label TIMEOUT seconds COMMAND ...)
function(pgstate_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;LABEL;TIMEOUT" "COMMAND")
    add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
    set_tests_properties(${arg_NAME} PROPERTIES
        LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${pgstate_test_environment}")
endfunction()
