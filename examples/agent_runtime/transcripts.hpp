#ifndef AGENT_RUNTIME_TRANSCRIPTS_HPP
#define AGENT_RUNTIME_TRANSCRIPTS_HPP

#include <boost/json/object.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace demo {

struct turn {
    std::string role;
    std::string content;
    boost::json::object metadata;
};

struct transcript {
    std::int64_t index = 0; ///< its line in the file, counted from 0
    std::string title;
    std::string language;
    std::vector<turn> turns;

    /// checksums[n]: over the first n turns, sixteen hexadecimal digits.
    std::vector<std::string> checksums;
};

/// One session of one agent, and the keys under which its state is kept.
struct session_id {
    unsigned agent = 0;
    unsigned session = 0;

    std::string agent_key() const;
    std::string session_key() const;

    auto operator<=>(const session_id&) const = default;
};

/// Conversations to replay, read from a file with one JSON object a line.
class transcripts {
public:
    /// \throws std::runtime_error - the file is missing or a line is not a conversation; names file and line
    explicit transcripts(const std::filesystem::path& file);

    /// The conversation of a session: the same one in every run.
    const transcript& of(session_id id) const;

    std::size_t size() const { return all_.size(); }

    /// Over all conversations: tells whether two runs replay the same.
    const std::string& checksum() const { return checksum_; }

private:
    std::vector<transcript> all_;
    std::string checksum_;
};

} // namespace demo

#endif
