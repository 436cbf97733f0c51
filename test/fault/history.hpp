#ifndef PGSTATE_TEST_FAULT_HISTORY_HPP
#define PGSTATE_TEST_FAULT_HISTORY_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pgstate_test {

/// What clients did to one table and saw of it, and whether a store that keeps its word can have let it happen.
///
/// The clients' states are such that each tells what was applied to it: a save begins anew with its own id; an append
/// adds its id to the list; an increment adds 1 to a counter that only its client uses; a merge puts its id into a member
/// that only its client uses. Rows are only ever created by saves. A foreign writer's statements are saves and erases like
/// any other where the guard gives them versions.
///
/// A version is never used twice in the table, and versions grow while a state lives. A state that is erased and saved again
/// has a new life, which may begin below the version with which the old one ended.
class history {
public:
    using time_point = std::chrono::steady_clock::time_point;
    using write_id = std::uint64_t; ///< unique in the history, not 0
    using client_id = std::uint32_t;

    enum class outcome {
        acknowledged,
        failed, ///< an error that says that nothing was changed
        unknown ///< it may have been applied, and also later than the caller was told so
    };

    enum class kind { save, append, increment, merge, erase };

    struct write {
        kind what{};
        std::string key{};
        write_id id = 0;
        client_id client = 0;
        outcome told{};
        std::int64_t version = 0;  ///< of what it made, where it was acknowledged; not of an erase
        std::int64_t expected = 0; ///< of a conditional save: what it wanted to find; 0: not conditional
        bool missing = false; ///< it was told that there is no such state: false for an erase, or not_found
        time_point invoked{};
        time_point completed{};
    };

    struct observation {
        std::string key{};
        bool missing = false;
        std::int64_t version = 0;
        write_id saved = 0;               ///< whose document it is
        std::vector<write_id> appended{}; ///< since then, in the state's order
        std::map<client_id, std::int64_t> counters{};
        std::map<client_id, write_id> merged{};
        time_point invoked{};
        time_point completed{};
    };

    struct violation {
        enum class sort {
            lost,      ///< an acknowledged write is not there, and nothing has overwritten it
            doubled,   ///< applied more than once
            phantom,   ///< something was applied that was reported as failed, or that nobody did
            backwards, ///< seen after something newer had been seen or acknowledged
            versions,  ///< not increasing while a state lives
            repeated,  ///< a version that was used twice
            winners    ///< conditional saves that cannot all have succeeded
        };
        sort what{};
        std::string text; ///< with key, ids and versions
        std::string key{};
    };

    void add(write what);
    void add(observation what);

    std::size_t size() const noexcept { return size_; }

    /// All that was done to a key and seen of it, a line each, in the order in which it was over; times in ms since the first.
    std::string story(const std::string& key) const;

    /// All that cannot have happened. The histories of different keys are independent.
    std::vector<violation> check() const;

private:
    struct of_key {
        std::vector<write> writes;
        std::vector<observation> observations;
    };
    std::map<std::string, of_key> keys_;
    std::size_t size_ = 0;

    class checker;
};

const char* name_of(history::violation::sort what) noexcept;

} // namespace pgstate_test

#endif
