#include "transcripts.hpp"

#include <boost/json.hpp>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace json = boost::json;

namespace demo {
namespace {

// FNV-1a, 64 bits: short, and good enough to tell one text from another.
class rolling_hash {
public:
    void add(std::string_view text) {
        for (const char c : text)
            step(static_cast<unsigned char>(c));
        step(0xff); // a byte that UTF-8 never has: "ab","c" and "a","bc" differ
    }
    std::string digits() const {
        char text[17];
        std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value_));
        return text;
    }

private:
    void step(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }

    std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

turn read_turn(const json::object& from) {
    turn read;
    read.role = json::value_to<std::string>(from.at("role"));
    read.content = json::value_to<std::string>(from.at("content"));
    if (const auto* metadata = from.if_contains("metadata")) read.metadata = metadata->as_object();
    return read;
}

transcript read_transcript(const std::string& line) {
    const json::value document = json::parse(line);
    const json::object& from = document.as_object();
    transcript read;
    read.title = json::value_to<std::string>(from.at("title"));
    read.language = json::value_to<std::string>(from.at("language"));
    rolling_hash hash;
    read.checksums.push_back(hash.digits());
    for (const json::value& each : from.at("turns").as_array()) {
        const turn& added = read.turns.emplace_back(read_turn(each.as_object()));
        hash.add(added.role);
        hash.add(added.content);
        hash.add(json::serialize(added.metadata));
        read.checksums.push_back(hash.digits());
    }
    if (read.turns.empty()) throw std::runtime_error("a conversation without turns");
    return read;
}

} // namespace

std::string session_id::agent_key() const {
    return "agent-" + std::to_string(agent);
}
std::string session_id::session_key() const {
    return "session-" + std::to_string(session);
}

transcripts::transcripts(const std::filesystem::path& file) {
    std::ifstream in(file);
    if (!in) throw std::runtime_error("cannot read the transcripts in " + file.string());
    rolling_hash hash;
    for (std::string line; std::getline(in, line);) {
        try {
            transcript read = read_transcript(line);
            read.index = static_cast<std::int64_t>(all_.size());
            hash.add(read.checksums.back());
            all_.push_back(std::move(read));
        } catch (const std::exception& e) {
            throw std::runtime_error(file.string() + ":" + std::to_string(all_.size() + 1) + ": " + e.what());
        }
    }
    if (all_.empty()) throw std::runtime_error("no transcripts in " + file.string());
    checksum_ = hash.digits();
}

const transcript& transcripts::of(session_id id) const {
    // Must not depend on how many agents and sessions there are, or another run could not go on.
    return all_[(id.agent + std::size_t{7} * id.session) % all_.size()];
}

} // namespace demo
