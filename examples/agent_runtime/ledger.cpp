#include "ledger.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace demo {

ledger::ledger(const std::filesystem::path& file, const std::string& identity) {
    const std::string header = "pgstate agent_runtime acknowledgements 1 " + identity;
    if (std::filesystem::exists(file)) read(file, header);
    descriptor_ = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0)
        throw std::runtime_error("cannot write " + file.string() + ": " +
                                 std::generic_category().message(errno));
    if (std::filesystem::file_size(file) == 0) append(header + '\n');
}

ledger::~ledger() {
    ::close(descriptor_);
}

void ledger::read(const std::filesystem::path& file, const std::string& header) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    if (!in) throw std::runtime_error("cannot read " + file.string());

    // A line without its end was being written when the process died: it was never acknowledged.
    std::string text = content.str();
    const std::size_t whole = text.find_last_of('\n') + 1; // npos + 1 is 0
    if (whole != text.size()) std::filesystem::resize_file(file, whole);
    text.resize(whole);
    if (text.empty()) return;

    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    if (line != header)
        throw std::runtime_error(file.string() +
                                 " belongs to other transcripts or another table; name another file with "
                                 "--ack-file, or begin anew with --reset");
    std::size_t number = 1;
    try {
        while (++number, std::getline(lines, line))
            read_line(line);
    } catch (const std::runtime_error& e) {
        throw std::runtime_error(file.string() + ":" + std::to_string(number) + ": " + e.what());
    }
}

void ledger::read_line(const std::string& line) {
    std::istringstream fields(line);
    session_id id;
    std::size_t turn = 0;
    std::string checksum;
    if (!(fields >> id.agent >> id.session >> turn >> checksum))
        throw std::runtime_error("not an acknowledgement");
    std::size_t& next = acknowledged_[id];
    if (turn != next) throw std::runtime_error("expected turn " + std::to_string(next) + " of that session");
    ++next;
}

std::size_t ledger::acknowledge(session_id id, const transcript& script, std::size_t turns) {
    // Held while writing: after a kill only the last line can be incomplete.
    const std::lock_guard lock(mutex_);
    std::size_t& next = acknowledged_[id];
    const std::size_t before = next;
    for (; next < turns; ++next) {
        std::ostringstream line;
        line << id.agent << ' ' << id.session << ' ' << next << ' ' << script.checksums.at(next + 1) << '\n';
        append(line.str());
    }
    return next - before;
}

std::map<session_id, std::size_t> ledger::acknowledged() const {
    const std::lock_guard lock(mutex_);
    return acknowledged_;
}

void ledger::append(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
        const auto written = ::write(descriptor_, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw std::system_error(errno, std::generic_category(), "cannot write the ack file");
        done += static_cast<std::size_t>(written);
    }
}

} // namespace demo
