#ifndef PGSTATE_POSTGRES_SWEEP_COURSE_HPP
#define PGSTATE_POSTGRES_SWEEP_COURSE_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/error.hpp"
#include "pgstate/result.hpp"
#include "postgres/sweep_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::postgres {

/// The place of a row in the order in which expired rows are deleted.
struct sweep_position {
    timestamp expires_at;
    std::string agent_id;
    std::string session_id;
};

/// One statement of the sweeper.
struct sweep_request {
    enum class kind {
        remove, ///< deletes rows
        survey, ///< tells where the last of so many rows is
    };
    kind what = kind::remove;
    std::size_t most = 0;
    std::optional<sweep_position> behind{}; ///< only rows that come after it; nothing: from the first
    std::optional<sweep_position> up_to{};  ///< only rows that do not; nothing: to the last
};

/// Its answer.
struct swept {
    std::int64_t rows = 0;                ///< deleted
    bool held_lock = false;               ///< false: another store sweeps the table at the moment
    std::int64_t found = 0;               ///< that could be locked; of a survey, that there are
    std::optional<sweep_position> last{}; ///< of those
};

/// Which statement comes next, so that rows that cannot be deleted do not keep the others. Pure.
///
/// A row can be protected: by a foreign key of another table, or by a trigger that raises an error, which has the whole batch
/// refused, or that leaves the row without an error. After a refusal the batch is halved until the row is found, which is then
/// passed over: the rest of the look goes on behind it. Later looks begin there as well, as states expire in that order. From
/// time to time, less and less often while rows stay protected, one begins with the first row again.
class sweep_course {
public:
    explicit sweep_course(std::size_t batch) noexcept : batch_(batch), size_(batch) {}

    sweep_request next() const {
        switch (step_) {
        case step::batch: break;
        case step::trial: return {.most = 0};
        case step::survey: return {.what = sweep_request::kind::survey, .most = size_, .behind = mark_};
        case step::part: return {.most = batch_, .behind = mark_, .up_to = limit_};
        }
        return {.most = batch_, .behind = mark_};
    }

    /// That the statement fails would be no news.
    bool expects_failure() const noexcept { return step_ != step::batch || wait_ > 0 || seen_ > 0; }

    sweep_outcome over(const result<swept>& outcome) {
        if (!outcome) return refused(outcome.error());
        if (!outcome->held_lock) return stop(sweep_outcome::lost);
        const auto found = static_cast<std::size_t>(std::max(outcome->found, outcome->rows));
        const auto left =
            outcome->found > outcome->rows ? static_cast<std::uint64_t>(outcome->found - outcome->rows) : 0;
        switch (step_) {
        case step::batch:
            pass_over(left);
            if (left > 0) mark_ = outcome->last;
            return found >= batch_ ? sweep_outcome::full : end_look();
        case step::trial: return survey(batch_ / 2);
        case step::survey:
            if (found == 0) return end_look();
            found_ = found;
            limit_ = outcome->last;
            step_ = step::part;
            return sweep_outcome::full;
        case step::part: break;
        }
        pass_over(left);
        return go_on_behind_limit();
    }

    /// Expired states that could not be deleted when that was last tried.
    std::uint64_t protected_rows() const noexcept { return protected_; }
    /// How the server refused the last of them; empty: it did not, something left the row in the table.
    const std::string& refusal() const noexcept { return refusal_; }

private:
    enum class step {
        batch,
        trial,  ///< of no rows: is it the rows that the server refuses to delete, or the statement?
        survey, ///< where the next part ends
        part,
    };

    /// Whether the server may have refused the statement for one of its rows.
    static bool may_blame_row(std::string_view sqlstate) noexcept {
        if (sqlstate.empty()) return false;
        const auto its_class = sqlstate.substr(0, 2);
        for (const std::string_view general : {"08", "25", "40", "53", "55", "57", "58", "XX"})
            if (its_class == general) return false;
        return true;
    }

    sweep_outcome refused(const error& why) {
        if (step_ == step::trial || step_ == step::survey || !may_blame_row(why.sqlstate()))
            return stop(sweep_outcome::failed);
        if (step_ == step::batch) {
            step_ = step::trial;
            return sweep_outcome::full;
        }
        if (found_ > 1) return survey(found_ / 2);
        refusal_ = why.sqlstate();
        pass_over(1);
        mark_ = limit_;
        return survey(1);
    }

    sweep_outcome survey(std::size_t size) {
        size_ = std::max<std::size_t>(size, 1);
        step_ = step::survey;
        return sweep_outcome::full;
    }

    sweep_outcome go_on_behind_limit() {
        mark_ = limit_;
        if (2 * size_ < batch_) return survey(2 * size_);
        step_ = step::batch;
        return sweep_outcome::full;
    }

    void pass_over(std::uint64_t rows) noexcept { seen_ += rows; }

    sweep_outcome stop(sweep_outcome how) noexcept {
        step_ = step::batch;
        return how;
    }

    sweep_outcome end_look() noexcept {
        constexpr int longest_wait = 16;
        const bool began_at_first = looks_left_ == 0;
        protected_ = began_at_first ? seen_ : protected_ + seen_;
        if (began_at_first) {
            wait_ = seen_ == 0 ? 0 : std::min(std::max(1, 2 * wait_), longest_wait);
            looks_left_ = wait_;
        } else {
            --looks_left_;
        }
        seen_ = 0;
        if (looks_left_ == 0) mark_.reset();
        if (protected_ == 0) refusal_.clear();
        return stop(sweep_outcome::rest);
    }

    std::size_t batch_;
    step step_ = step::batch;
    std::size_t size_;                    ///< of the part that is surveyed
    std::size_t found_ = 0;               ///< by the survey
    std::optional<sweep_position> limit_; ///< of that part
    std::optional<sweep_position> mark_;  ///< behind it the look goes on; nothing: from the first row
    std::uint64_t seen_ = 0;              ///< protected rows of this look
    std::uint64_t protected_ = 0;
    std::string refusal_;
    int wait_ = 0;       ///< how many looks lie between two that begin with the first row
    int looks_left_ = 0; ///< before the next such one; 0: this is one
};

} // namespace pgstate::postgres

#endif
