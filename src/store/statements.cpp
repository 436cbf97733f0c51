#include "store/statements.hpp"

#include "pgstate/error.hpp"
#include "store/change_sql.hpp"
#include "store/operations.hpp"
#include "store/statement_name.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

namespace pgstate::store {
namespace {

using wire::type_oid;

wire::statement prepared(std::string_view purpose, std::string sql, std::vector<type_oid> types) {
    auto name = statement_name(purpose, sql);
    return {std::move(name), std::move(sql), std::move(types), {}};
}

wire::statement planned_anew(std::string sql, std::vector<type_oid> types) {
    return {{}, std::move(sql), std::move(types), {}};
}

constexpr auto by_key = sql_text::by_key;
constexpr std::string_view by_input = "t.agent_id = u.a AND t.session_id = u.s";
constexpr std::string_view saved_columns = "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at";
constexpr std::string_view keys_input = "unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(a, s, n) JOIN ";

constexpr std::string_view changed_columns =
    "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at, t.expires_at";
constexpr std::string_view never = "NULL::timestamptz";

// Sorted, so that two processes lock rows in one order. The documents come as text: with an array of jsonb a batch of 64
// saves costs the server a sixth more.
std::string array_source(const sql_text& sql, bool with_ttl) {
    return std::string("SELECT u.a, u.s, u.d::jsonb, now(), now(), ")
        .append(sql.new_version())
        .append(", ")
        .append(with_ttl ? sql_text::expiry_in("u.l") : std::string(never))
        .append(with_ttl ? ", $5::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])"
                           " AS u(a, s, d, l)"
                         : ", $4::bigint FROM unnest($1::text[], $2::text[], $3::text[]) AS u(a, s, d)")
        .append(" ORDER BY ")
        .append(sql_text::in_order_of_input);
}

/// In the place of the table's size: the number that is none.
constexpr std::string_view no_size = "-1::bigint";

std::string list_sql(const sql_text& sql, bool first) {
    // Times may be NULL in a table that others fill; on pages they count as the epoch, as they load.
    constexpr std::string_view updated = "coalesce(t.updated_at, 'epoch'::timestamptz)";
    std::string condition = std::string(" WHERE t.agent_id = $1 AND ").append(sql_text::alive);
    if (!first) condition.append(" AND (").append(updated).append(", t.session_id COLLATE \"C\") < ($3, $4)");
    condition.append(" ORDER BY ").append(updated).append(" DESC, t.session_id COLLATE \"C\" DESC LIMIT $2");
    return sql.select("t.session_id, t.version, t.created_at, t.updated_at", "", condition);
}

std::string list_agents_sql(const sql_text& sql, bool first) {
    // In the database's collation, which is that of the primary key: a page reads its own agents' rows and no others.
    std::string condition = std::string(" WHERE ").append(sql_text::alive);
    if (!first) condition.append(" AND t.agent_id > $2");
    condition.append(" GROUP BY t.agent_id ORDER BY t.agent_id LIMIT $1");
    return sql.select("t.agent_id, count(*), max(t.updated_at)", "", condition);
}

bool may_make_rows(const batch::operation& what) {
    switch (what.what) {
    case batch::kind::save:
    case batch::kind::create: return true;
    case batch::kind::change: return may_make_a_row(static_cast<const change_operation&>(what).form());
    default: return false;
    }
}

/// Whether these operations may make rows, and are to claim them.
bool to_be_claimed(const std::vector<batch::operation_ptr>& operations) {
    return may_make_rows(*operations.front()) &&
           std::any_of(operations.begin(), operations.end(), [](const auto& each) {
               return each->claims || each->bytes > sql_text::large_document;
           });
}

const batch::operation& front(const std::vector<batch::operation_ptr>& operations) {
    return *operations.front();
}

template <class Operation>
const Operation& as(const batch::operation& what) {
    return static_cast<const Operation&>(what);
}

std::size_t total(const std::vector<batch::operation_ptr>& operations,
                  std::size_t (*size)(const batch::operation&)) {
    std::size_t sum = 0;
    for (const auto& each : operations)
        sum += size(*each);
    return sum;
}

bool same_key(const batch::operation& a, const batch::operation& b) {
    return a.session_id == b.session_id && a.agent_id == b.agent_id;
}

/// Calls `use` with the first operation of each key.
/// \pre the operations are sorted by key
template <class Use>
void for_each_key(const std::vector<batch::operation_ptr>& operations, Use use) {
    for (std::size_t i = 0; i < operations.size(); ++i)
        if (i == 0 || !same_key(*operations[i - 1], *operations[i])) use(*operations[i]);
}

/// Each key once: those who load the same state share its row. Writers' keys are distinct anyhow.
void add_keys(wire::parameters& values, const std::vector<batch::operation_ptr>& operations) {
    std::size_t count = 0;
    std::size_t agent_bytes = 0;
    std::size_t session_bytes = 0;
    for_each_key(operations, [&](const batch::operation& each) {
        ++count;
        agent_bytes += each.agent_id.size();
        session_bytes += each.session_id.size();
    });
    values.begin_text_array(count, agent_bytes);
    for_each_key(operations, [&](const batch::operation& each) { values.element_text(each.agent_id); });
    values.begin_text_array(count, session_bytes);
    for_each_key(operations, [&](const batch::operation& each) { values.element_text(each.session_id); });
}

[[noreturn]] void nonsense() {
    throw error(errc::corrupt_state, {},
                "the server's answer does not fit the statement; is something between?");
}

int only_row(const wire::rows& rows) {
    if (rows.size() > 1) nonsense();
    return rows.size() - 1;
}

/// \pre the operations are sorted by key
std::vector<int> pair_by_ordinal(const std::vector<batch::operation_ptr>& operations,
                                 const wire::rows& rows) {
    std::vector<int> row_of_key(operations.size() + 1, -1);
    for (int row = 0; row < rows.size(); ++row) {
        const auto ordinal = rows.int8(row, loaded_row::ordinal);
        if (ordinal < 1 || static_cast<std::size_t>(ordinal) > operations.size()) nonsense();
        auto& mine = row_of_key[static_cast<std::size_t>(ordinal)];
        if (mine != -1) nonsense();
        mine = row;
    }
    std::vector<int> row_of;
    row_of.reserve(operations.size());
    std::size_t key = 0;
    for (std::size_t i = 0; i < operations.size(); ++i) {
        if (i == 0 || !same_key(*operations[i - 1], *operations[i])) ++key;
        row_of.push_back(row_of_key[key]);
    }
    for (++key; key < row_of_key.size(); ++key)
        if (row_of_key[key] != -1) nonsense(); // a row for a key that was not asked for
    return row_of;
}

/// \pre the operations are sorted by key, and no key occurs twice
std::vector<int> pair_by_key(const std::vector<batch::operation_ptr>& operations, const wire::rows& rows) {
    std::vector<int> row_of(operations.size(), -1);
    for (int row = 0; row < rows.size(); ++row) {
        const auto key =
            std::pair(rows.text(row, saved_row::agent_id), rows.text(row, saved_row::session_id));
        const auto at =
            std::lower_bound(operations.begin(), operations.end(), key, [](const auto& each, const auto& k) {
                return std::tie(each->agent_id, each->session_id) < std::tie(k.first, k.second);
            });
        if (at == operations.end() || (*at)->agent_id != key.first || (*at)->session_id != key.second)
            nonsense();
        auto& mine = row_of[static_cast<std::size_t>(at - operations.begin())];
        if (mine != -1) nonsense();
        mine = row;
    }
    return row_of;
}

using types = std::vector<type_oid>;

// The same text twice: its two plans must not be one.
by_size both(const std::string& purpose, const std::string& text, const types& of) {
    return {prepared(purpose, text, of), prepared(purpose + "_large", text, of)};
}

lookup lookup_with(const std::string& purpose, const std::string& one, const types& of_one,
                   const std::string& many, const types& of_many) {
    return {both(purpose, one, of_one),
            {planned_anew(many, of_many), prepared(purpose + "_many", many, of_many)}};
}

} // namespace

// The last parameter of everything that writes is the statement's name.
table_statements::versioned::versioned(const sql_text& sql) {
    using enum type_oid;
    using existing = sql_text::existing;
    const auto insertion_with = [&](std::string_view purpose, existing what) {
        return with_expiry{
            {prepared(purpose, sql.insert(sql.one_row("$3", never, "$4"), what, saved_columns),
                      {text, text, jsonb, int8}),
             prepared(purpose, sql.insert(array_source(sql, false), what, saved_columns),
                      {text_array, text_array, text_array, int8})},
            {prepared(purpose,
                      sql.insert(sql.one_row("$3", sql_text::expiry_in("$4"), "$5"), what, changed_columns),
                      {text, text, jsonb, int8, int8}),
             prepared(purpose, sql.insert(array_source(sql, true), what, changed_columns),
                      {text_array, text_array, text_array, int8_array, int8})}};
    };
    save = insertion_with("save", existing::replaced);
    create = insertion_with("create", existing::kept);
    for (const auto& each : change_statements(sql, changed_columns))
        if (may_make_a_row(each.form))
            changes[static_cast<std::size_t>(each.form)] = both(each.purpose, each.text, each.types);
    erase = lookup_with("erase", sql.erase("", by_key, "$3", "t.agent_id, t.session_id"), {text, text, int8},
                        sql.erase(" USING unnest($1::text[], $2::text[]) AS u(a, s)", by_input, "$3",
                                  "t.agent_id, t.session_id"),
                        {text_array, text_array, int8});
    erase_version =
        both("erase_version",
             sql.erase("", std::string(by_key) + " AND t.version = $3", "$4", "t.agent_id, t.session_id"),
             {text, text, int8, int8});
}

table_statements::table_statements(const settings::table_identifier& table, session_settings settings)
    : sql_(table.quoted()), settings_(std::move(settings)), timed_(sql_),
      plain_(sql_text(table.quoted(), versioning::plain)) {
    const auto& sql = sql_;
    using enum type_oid;
    replace_ = lookup_with(
        "replace",
        sql.replace("$3", never, "", std::string(by_key) + " AND t.version = $4", "$5", saved_columns),
        {text, text, jsonb, int8, int8},
        sql.replace("u.d::jsonb", never,
                    " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u(a, s, d, v)",
                    std::string(by_input) + " AND t.version = u.v", "$5", saved_columns),
        {text_array, text_array, text_array, int8_array, int8});
    replace_with_ttl_ =
        lookup_with("replace",
                    sql.replace("$3", sql_text::expiry_in("$5"), "",
                                std::string(by_key) + " AND t.version = $4", "$6", changed_columns),
                    {text, text, jsonb, int8, int8, int8},
                    sql.replace("u.d::jsonb", sql_text::expiry_in("u.l"),
                                " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])"
                                " AS u(a, s, d, v, l)",
                                std::string(by_input) + " AND t.version = u.v", "$6", changed_columns),
                    {text_array, text_array, text_array, int8_array, int8_array, int8});

    for (const auto& each : change_statements(sql, changed_columns))
        if (!may_make_a_row(each.form))
            changes_[static_cast<std::size_t>(each.form)] = both(each.purpose, each.text, each.types);
    changes_[static_cast<std::size_t>(change_form::touch)] =
        both("touch", sql.touch(sql_text::expiry_in("$3"), by_key, "$4", changed_columns),
             {text, text, int8, int8});

    const types keys{text, text};
    const types key_arrays{text_array, text_array};
    const auto where_key = std::string(" WHERE ").append(by_key).append(" AND ").append(sql_text::alive);
    const auto on_input = std::string(" ON ").append(by_input).append(" AND ").append(sql_text::alive);
    const auto selection_with = [&](const std::string& purpose, const std::string& columns) {
        return lookup_with(purpose, sql.select("1::bigint, " + columns, "", where_key), keys,
                           sql.select("u.n, " + columns, keys_input, on_input), key_arrays);
    };
    probe_ = selection_with("probe", "t.version");
    load_ = selection_with("load", "t.state, t.version, t.created_at, t.updated_at, t.expires_at");
    claim_ = prepared("claim", sql.claim(sql_text::claimed_row()), keys);
    claims_ = prepared("claim", sql.claim(sql_text::claimed_rows()), key_arrays);
    // Whether it has expired does not matter here.
    settle_ = both("settle",
                   sql.select(std::string(changed_columns) + ", t.write_name", "",
                              std::string(" WHERE ").append(by_key)),
                   keys);
    // As who may end it: the same role. One that is not there any more has ended.
    fence_ = prepared("fence",
                      "SELECT coalesce((SELECT pg_terminate_backend(a.pid, 1000)"
                      " FROM pg_catalog.pg_stat_get_activity($1::int) a"
                      " WHERE (extract(epoch FROM a.backend_start) * 1000000)::bigint = $2), true)",
                      {int8, int8});
    list_first_ = both("list", list_sql(sql, true), {text, int8});
    list_next_ = both("list_next", list_sql(sql, false), {text, int8, timestamptz, text});
    // The limit matters to their plans, so it is planned with.
    list_agents_first_ = planned_anew(list_agents_sql(sql, true), {int8});
    list_agents_next_ = planned_anew(list_agents_sql(sql, false), {int8, text});
    const std::string explain = "EXPLAIN (FORMAT JSON) ";
    estimate_agent_ = planned_anew(explain + sql.select("", "", " WHERE t.agent_id = $1"), {text});
    estimate_all_ = planned_anew(explain + sql.select("", "", ""), {});
    count_agent_ = both(
        "count_agent",
        sql.select("count(*)", "", " WHERE t.agent_id = $1 AND " + std::string(sql_text::alive)), {text});
    count_all_ =
        prepared("count_all", sql.select("count(*)", "", " WHERE " + std::string(sql_text::alive)), {});
    health_ = prepared("health",
                       "SELECT current_setting('server_version_num')::bigint, "
                       "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean",
                       {});
    // Planned each time: so seldom that a plan kept from when the table was small would cost more.
    sweep_ = planned_anew(sql.sweep(), {int8});
    sweep_.verb = "DELETE";
    const auto size = "pg_relation_size(" + quote_literal(sql.table()) + "::regclass)";
    size_ = setting_preamble("size", size, settings_);
    lookups_only_ = setting_preamble("lookups_only", size, settings_,
                                     "set_config('enable_seqscan', 'off', true), "
                                     "set_config('enable_hashjoin', 'off', true), "
                                     "set_config('enable_mergejoin', 'off', true)");
    if (!settings_.empty()) settings_only_ = setting_preamble("settings", no_size, settings_);
}

/// \param claimed  their rows are, or cannot be
const table_statements::versioned& table_statements::writes(bool claimed) const noexcept {
    return claimed || kept() == versioning::plain ? plain_ : timed_;
}

const lookup& table_statements::lookup_of(batch::kind what, bool with_ttl) const noexcept {
    switch (what) {
    case batch::kind::replace: return with_ttl ? replace_with_ttl_ : replace_;
    case batch::kind::probe: return probe_;
    case batch::kind::load: return load_;
    default: return writes(false).erase;
    }
}

/// True once a second, for one caller.
bool table_statements::time_to_look() const noexcept {
    using namespace std::chrono_literals;
    const auto now = batch::clock::now().time_since_epoch();
    auto due = next_look_.load(std::memory_order_relaxed);
    return now.count() >= due &&
           next_look_.compare_exchange_strong(due, (now + std::chrono::nanoseconds(1s)).count(),
                                              std::memory_order_relaxed);
}

void table_statements::learn(const wire::rows& before) const noexcept {
    try {
        const auto size = before.is_null(0, 0) ? 0 : before.int8(0, 0);
        if (size < 0) return; // settings_only_
        const bool large = size >= large_table;
        if (large != large_.load(std::memory_order_relaxed)) large_.store(large, std::memory_order_relaxed);
    } catch (const error&) {
        // No size, whatever is between: what was known stays.
    }
}

void table_statements::censor(wire::server_error& refusal, bool first) const {
    store::censor(refusal, first, settings_);
}

batch::command table_statements::build(const std::vector<batch::operation_ptr>& operations) const {
    const bool claims = to_be_claimed(operations);
    auto made = build_but_name(operations, claims);
    // Who may end a process of the server, a role set here may not know.
    if (settings_only_ && !made.before && front(operations).what != batch::kind::fence)
        made.before = &*settings_only_;
    if (!batch::is_write(front(operations).what)) return made;
    if (claims && kept() == versioning::timed && !claims_disliked_.load(std::memory_order_relaxed))
        add_claim(made, operations);
    const auto name = names_.next();
    made.values.add_int8(name);
    for (const auto& each : operations)
        each->write_name = name;
    return made;
}

void table_statements::add_claim(batch::command& to,
                                 const std::vector<batch::operation_ptr>& operations) const {
    to.claim = operations.size() == 1 ? &claim_ : &claims_;
    if (operations.size() > 1) return add_keys(to.claim_values, operations);
    to.claim_values.add_text(front(operations).agent_id);
    to.claim_values.add_text(front(operations).session_id);
}

bool table_statements::adapt(const std::vector<batch::operation_ptr>& operations,
                             const wire::reply& refusal) const {
    const auto& [sqlstate, message] = refusal.failure;
    if (!may_make_rows(front(operations))) return false;
    if (sql_text::made_too_late(sqlstate, message)) {
        for (const auto& each : operations)
            each->claims = true;
        return true;
    }
    // A claimed row has no document to speak of.
    if (!to_be_claimed(operations) || refusal.steps_left != 1 || !sql_text::disliked_row(sqlstate))
        return false;
    claims_disliked_.store(true, std::memory_order_relaxed);
    return true;
}

batch::command table_statements::build_but_name(const std::vector<batch::operation_ptr>& operations,
                                                bool claims) const {
    const auto& first = front(operations);
    const bool large = large_.load(std::memory_order_relaxed);
    batch::command made;
    auto& values = made.values;
    const bool of_the_table = first.what != batch::kind::health && first.what != batch::kind::fence;
    if (of_the_table && time_to_look()) made.before = &size_;
    switch (first.what) {
    case batch::kind::list: {
        const auto& list = as<list_operation>(first);
        made.what = &(list.after() ? list_next_ : list_first_).of(large);
        values.add_text(first.agent_id);
        values.add_int8(static_cast<std::int64_t>(list.limit()) + 1);
        if (list.after()) {
            values.add_timestamptz(list.after()->time);
            values.add_text(list.after()->session_id);
        }
        return made;
    }
    case batch::kind::list_agents: {
        const auto& list = as<list_agents_operation>(first);
        made.what = list.after() ? &list_agents_next_ : &list_agents_first_;
        made.before = &lookups_only_;
        values.add_int8(static_cast<std::int64_t>(list.limit()) + 1);
        if (list.after()) values.add_text(list.after()->agent_id);
        return made;
    }
    case batch::kind::find: {
        const auto& search = as<find_operation>(first).search();
        made.what = &search.what;
        values = search.values;
        return made;
    }
    case batch::kind::estimate:
        made.what = first.agent_id.empty() ? &estimate_all_ : &estimate_agent_;
        if (!first.agent_id.empty()) values.add_text(first.agent_id);
        return made;
    case batch::kind::count_agent:
        made.what = &count_agent_.of(large);
        values.add_text(first.agent_id);
        return made;
    case batch::kind::count_all: made.what = &count_all_; return made;
    case batch::kind::health: made.what = &health_; return made;
    case batch::kind::settle:
        made.what = &settle_.of(large);
        values.add_text(first.agent_id);
        values.add_text(first.session_id);
        return made;
    case batch::kind::fence:
        made.what = &fence_;
        values.add_int8(first.in_doubt->lost.pid);
        values.add_int8(first.in_doubt->lost.started);
        return made;
    case batch::kind::sweep:
        made.what = &sweep_;
        values.add_int8(static_cast<std::int64_t>(as<sweep_operation>(first).most()));
        return made;
    case batch::kind::change: {
        const auto& change = as<change_operation>(first);
        const auto& forms = may_make_a_row(change.form()) ? writes(claims).changes : changes_;
        made.what = &forms[static_cast<std::size_t>(change.form())].of(large);
        change.add_to(values);
        return made;
    }
    case batch::kind::erase_version:
        made.what = &writes(false).erase_version.of(large);
        values.add_text(first.agent_id);
        values.add_text(first.session_id);
        values.add_int8(as<erase_operation>(first).version());
        return made;
    default: break;
    }

    const bool one = operations.size() == 1;
    const bool with_document = first.what <= batch::kind::replace;
    const bool with_version = first.what == batch::kind::replace;
    const bool with_ttl =
        with_document && std::any_of(operations.begin(), operations.end(), [](const auto& each) {
            return as<save_operation>(*each).ttl().count() != 0;
        });
    if (first.what == batch::kind::save || first.what == batch::kind::create) {
        const auto& statements = writes(claims);
        const auto& forms = first.what == batch::kind::create ? statements.create : statements.save;
        const auto& form = with_ttl ? forms.with : forms.without;
        made.what = one ? &form.one : &form.many;
    } else {
        const auto& form = lookup_of(first.what, with_ttl);
        made.what = &(one ? form.one : form.many).of(large);
        if (!one && !large) made.before = &lookups_only_;
    }
    if (one) {
        values.add_text(first.agent_id);
        values.add_text(first.session_id);
        if (with_document) values.add_jsonb_in_place(as<save_operation>(first).state().document);
        if (with_version) values.add_int8(as<save_operation>(first).state().version);
        if (with_ttl) values.add_int8(as<save_operation>(first).ttl().count());
        return made;
    }
    add_keys(values, operations);
    if (with_document) {
        values.begin_text_array(operations.size(), total(operations, [](const batch::operation& each) {
                                    return as<save_operation>(each).state().document.size();
                                }));
        for (const auto& each : operations)
            values.element_text(as<save_operation>(*each).state().document);
    }
    if (with_version) {
        values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            values.element_int8(as<save_operation>(*each).state().version);
    }
    if (with_ttl) {
        values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            values.element_int8(as<save_operation>(*each).ttl().count());
    }
    return made;
}

std::vector<int> table_statements::pair(const std::vector<batch::operation_ptr>& operations,
                                        const wire::rows& rows) const {
    switch (front(operations).what) {
    case batch::kind::list:
    case batch::kind::list_agents:
    case batch::kind::find: return {0};
    case batch::kind::count_agent:
    case batch::kind::count_all:
    case batch::kind::estimate:
    case batch::kind::health:
    case batch::kind::fence:
    case batch::kind::sweep:
        if (rows.size() != 1) nonsense();
        return {0};
    case batch::kind::probe:
    case batch::kind::load:
        return operations.size() == 1 ? std::vector{only_row(rows)} : pair_by_ordinal(operations, rows);
    default: return operations.size() == 1 ? std::vector{only_row(rows)} : pair_by_key(operations, rows);
    }
}

batch::settlement table_statements::judge(const batch::operation& what, const wire::rows& rows,
                                          int row) const {
    write_evidence evidence;
    evidence.name = what.write_name;
    evidence.fenced = what.in_doubt->fenced;
    evidence.sent = what.in_doubt->lost.clock_at_least(what.in_doubt->sent);
    evidence.there = row >= 0;
    if (evidence.there) {
        evidence.version = rows.int8(row, settled_row::version);
        if (!rows.is_null(row, settled_row::write_name))
            evidence.last_writer = rows.int8(row, settled_row::write_name);
    }
    switch (what.in_doubt->asked) {
    case batch::kind::replace: evidence.if_version = as<save_operation>(what).state().version; break;
    case batch::kind::erase_version: evidence.if_version = as<erase_operation>(what).version(); break;
    case batch::kind::change: evidence.if_version = as<change_operation>(what).if_version(); break;
    default: break;
    }
    return store::judge(evidence);
}

bool table_statements::fenced(const wire::rows& rows) const {
    return rows.boolean(0, 0);
}

} // namespace pgstate::store
