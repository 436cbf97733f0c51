# The target docs: the reference of the public headers and the guide, as HTML in docs/html of the build's directory. It fails
# where something public has no comment.
find_package(Doxygen 1.9.3 QUIET)
find_package(Python3 QUIET COMPONENTS Interpreter)
if(NOT TARGET Doxygen::doxygen OR NOT Python3_Interpreter_FOUND)
    message(STATUS "pgstate: no target docs, as there is no Doxygen 1.9.3 or no Python 3")
    return()
endif()

set(PGSTATE_DOCS_DIR "${PROJECT_BINARY_DIR}/docs")
set(PGSTATE_DOXYFILE "${PGSTATE_DOCS_DIR}/Doxyfile")
configure_file(cmake/Doxyfile.in "${PGSTATE_DOXYFILE}" @ONLY)
add_custom_target(docs COMMAND Doxygen::doxygen "${PGSTATE_DOXYFILE}" VERBATIM)
