#ifndef PGSTATE_POSTGRES_OPERATIONS_TYPES_HPP
#define PGSTATE_POSTGRES_OPERATIONS_TYPES_HPP

#include "batch/operation_type.hpp"
#include "postgres/operations/change.hpp"
#include "postgres/operations/checkpoint.hpp"
#include "postgres/operations/count.hpp"
#include "postgres/operations/erase.hpp"
#include "postgres/operations/find.hpp"
#include "postgres/operations/health.hpp"
#include "postgres/operations/list.hpp"
#include "postgres/operations/load.hpp"
#include "postgres/operations/look.hpp"
#include "postgres/operations/probe.hpp"
#include "postgres/operations/save.hpp"
#include "postgres/operations/settle.hpp"
#include "postgres/operations/sweep.hpp"
#include "postgres/operations/touch.hpp"
#include "sql/target_table.hpp"

namespace pgstate::postgres {

/// All types of operations on one table.
struct operation_types {
    explicit operation_types(sql::target_table& table)
        : save(table), load(table), load_window(table), erase(table), erase_version(table), touch(table),
          change(table), list(table), list_agents(table), find(table), count(table), estimate(table),
          health(table), sweep(table, sweep_request::kind::remove),
          survey(table, sweep_request::kind::survey), checkpoints(table), probe(table), part_probe(table),
          probe_document(table), repeat(make_repeat_probe(table)), probe_history(table), look(table),
          settle(table) {}

    const batch::operation_type& of_load(const history_window& window) const noexcept {
        if (window != history_window::all) return load_window;
        return load;
    }

    save_types save;
    load_type load;
    windowed_load_type load_window;
    erase_type erase;
    erase_version_type erase_version;
    touch_type touch;
    change_types change;
    list_type list;
    list_agents_type list_agents;
    find_type find;
    count_type count;
    estimate_type estimate;
    health_type health;
    sweep_type sweep;
    sweep_type survey;
    checkpoint_types checkpoints;
    // What the engine asks for an operation.
    probe_type probe;
    part_probe_type part_probe;
    document_probe_type probe_document;
    single_read repeat;
    history_probe_type probe_history;
    look_type look;
    settle_type settle;
    fence_type fence;
};

/// The engine's view of them.
class table_dialect final : public batch::dialect {
public:
    table_dialect(const settings::table_identifier& table, sql::session_settings settings,
                  sql::histories where = {})
        : name_(table), settings_(std::move(settings)) {
        use(std::move(where));
    }

    /// \pre no operation has been submitted
    void use(sql::histories where) {
        types_.reset();
        table_.emplace(name_, settings_, std::move(where));
        types_.emplace(*table_);
    }

    sql::target_table& table() noexcept { return *table_; }
    const operation_types& types() const noexcept { return *types_; }

    /// Of an increment the document is read: it tells why the number cannot be incremented.
    const batch::operation_type& probe(const batch::operation& what) const noexcept override {
        using enum telemetry::operation_id;
        if (what.id == increment) return types_->probe_document;
        if (what.id == restore) return types_->checkpoints.restore_probe;
        if (what.id == fork) return types_->checkpoints.fork_probe;
        if (what.id == append && !static_cast<const change_operation&>(what).ids().empty())
            return types_->repeat;
        if (what.id == append || what.id == merge) return types_->part_probe;
        if (types_->save.extends(what.asked)) return types_->probe_history;
        return types_->probe;
    }
    const batch::operation_type& look() const noexcept override { return types_->look; }
    const batch::operation_type& settle() const noexcept override { return types_->settle; }
    const batch::operation_type& fence() const noexcept override { return types_->fence; }

    const wire::statement& limits() const noexcept override { return sql::time_limits(); }

    bool locked(const wire::rows& rows, int row) const override { return types_->look.locked(rows, row); }
    batch::settlement judge(const batch::operation& what, const wire::incarnation& seen_by,
                            const wire::rows& rows, int row) const override {
        return types_->settle.judge(what, seen_by, rows, row);
    }
    bool fenced(const wire::rows& rows) const override { return rows.boolean(0, 0); }
    void learn(const wire::rows& before) noexcept override { table_->learn(before); }
    void censor(wire::server_error& refusal, bool before) const override {
        sql::censor(refusal, before, table_->settings());
    }

private:
    const settings::table_identifier name_;
    const sql::session_settings settings_;
    std::optional<sql::target_table> table_;
    std::optional<const operation_types> types_;
};

} // namespace pgstate::postgres

#endif
