#ifndef PGSTATE_TEST_FAULT_PAST_HPP
#define PGSTATE_TEST_FAULT_PAST_HPP

#include "fault/history.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <utility>
#include <vector>

namespace pgstate_test {

/// Histories of the key "k". Everything follows each other unless it is told its times.
class past {
public:
    history::write& next(history::write what) {
        what.key = "k";
        if (what.invoked == history::time_point()) {
            what.invoked = at(++now_);
            what.completed = at(++now_);
        }
        writes_.push_back(std::move(what));
        return writes_.back();
    }
    void save(history::write_id id, std::int64_t version, std::int64_t expected = 0) {
        next({.what = history::kind::save,
              .id = id,
              .told = history::outcome::acknowledged,
              .version = version,
              .expected = expected});
    }
    void append(history::write_id id, std::int64_t version) {
        next({.what = history::kind::append,
              .id = id,
              .told = history::outcome::acknowledged,
              .version = version});
    }
    void increment(history::client_id client, std::int64_t version) {
        next({.what = history::kind::increment,
              .id = ++ids_,
              .client = client,
              .told = history::outcome::acknowledged,
              .version = version});
    }
    void merge(history::write_id id, history::client_id client, std::int64_t version) {
        next({.what = history::kind::merge,
              .id = id,
              .client = client,
              .told = history::outcome::acknowledged,
              .version = version});
    }
    void erase(history::write_id id) {
        next({.what = history::kind::erase, .id = id, .told = history::outcome::acknowledged});
    }
    void not_applied(history::kind what, history::write_id id, history::client_id client = 0) {
        next({.what = what, .id = id, .client = client, .told = history::outcome::failed});
    }
    void unknown(history::kind what, history::write_id id, history::client_id client = 0) {
        next({.what = what, .id = id, .client = client, .told = history::outcome::unknown});
    }
    void load(history::observation what) {
        what.key = "k";
        if (what.invoked == history::time_point()) {
            what.invoked = at(++now_);
            what.completed = at(++now_);
        }
        loads_.push_back(std::move(what));
    }
    void load_nothing() { load({.missing = true}); }

    static history::time_point at(int moment) { return history::time_point(std::chrono::seconds(moment)); }

    std::vector<history::violation::sort> violations() const {
        history all;
        for (const auto& each : writes_)
            all.add(each);
        for (const auto& each : loads_)
            all.add(each);
        std::vector<history::violation::sort> sorts;
        for (const auto& each : all.check()) {
            UNSCOPED_INFO(name_of(each.what) << ": " << each.text);
            sorts.push_back(each.what);
        }
        return sorts;
    }

private:
    int now_ = 0;
    history::write_id ids_ = 1'000'000;
    std::vector<history::write> writes_;
    std::vector<history::observation> loads_;
};

} // namespace pgstate_test

#endif
