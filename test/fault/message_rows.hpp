#ifndef PGSTATE_TEST_FAULT_MESSAGE_ROWS_HPP
#define PGSTATE_TEST_FAULT_MESSAGE_ROWS_HPP

#include <cstddef>
#include <string>
#include <vector>

namespace pgstate_test {

/// What the table agent_states and those that belong to it say of histories in rows.
struct message_rows_findings {
    std::size_t in_rows = 0;     ///< states whose history is in rows
    std::size_t in_document = 0; ///< states whose history is in the document
    std::size_t rows = 0;        ///< of messages
    /// A line for each of what must not be: a state whose messages are not its rows from 0 to `messages` - 1, each once; a
    /// checkpoint that lacks some of its own; messages whose history neither a state nor a checkpoint names.
    std::vector<std::string> wrongs;
};

/// \param connection_string  of a server on which nobody writes any more
message_rows_findings look_at_message_rows(const std::string& connection_string);

} // namespace pgstate_test

#endif
