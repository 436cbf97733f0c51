#ifndef PGSTATE_TEST_FAULT_KEPT_HISTORIES_HPP
#define PGSTATE_TEST_FAULT_KEPT_HISTORIES_HPP

#include "fault/history.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgstate_test {

/// What saves kept of the histories that they were based on. To the checker `history` a save begins anew; so a document says
/// how many messages it was saved with, and these are compared here, message by message, and taken from what was loaded. What
/// is left was appended since, and is the checker's.
class kept_histories {
public:
    /// The save `id` is about to be made of a state with these messages: the ids of the writes that made them.
    void add(history::write_id id, std::vector<history::write_id> messages);

    /// Takes the messages from `seen` that its document was saved with; says whether these are others than were saved.
    /// \param kept  how many the document says that they are
    std::optional<history::violation> take(history::observation& seen, std::size_t kept) const;

    /// An acknowledged save of a state that was loaded in part. It adds to the history that was loaded, or fails.
    struct part {
        std::string key{};
        history::write_id id = 0;
        std::int64_t loaded = 0;                ///< the version that it was based on
        history::time_point loaded_completed{}; ///< when that had been loaded
        std::int64_t version = 0;               ///< that it made
    };
    void add(part what);
    /// An acknowledged append. Others are ignored.
    void add(const history::write& what);

    /// The appends that came between a load and an acknowledged save of a part of it.
    std::vector<history::violation> check() const;

private:
    std::map<history::write_id, std::vector<history::write_id>> messages_;
    std::vector<part> parts_;
    std::map<std::string, std::map<std::int64_t, history::write>> appends_; ///< by key and version
};

} // namespace pgstate_test

#endif
