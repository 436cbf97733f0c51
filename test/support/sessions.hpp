#ifndef PGSTATE_TEST_SESSIONS_HPP
#define PGSTATE_TEST_SESSIONS_HPP

#include "support/stores.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace pgstate_test {

/// Saves "session-0" and so on of `agent` without waiting in between, so that stores may give many the same time.
std::map<std::string, pgstate::saved> save_sessions(store_under_test& store, const std::string& agent,
                                                    int count);

/// `cursor` with another character in its place, once for each of its characters.
std::vector<std::string> altered(const std::string& cursor);

/// What happens to the sessions of an agent, as save_sessions made them, while somebody pages through them.
class comings_and_goings {
public:
    void saw(const std::string& session) { seen_.insert(session); }

    /// After a page: its last session, which the cursor names, is erased, and one that may come later; a new one is saved.
    void after_page(store_under_test& store, const std::string& agent, const std::string& last);

    /// That each of the first `count` was seen once, and what was erased once at most.
    void check(int count) const;

private:
    int page_ = 0;
    std::multiset<std::string> seen_;
    std::set<std::string> erased_;
};

} // namespace pgstate_test

#endif
