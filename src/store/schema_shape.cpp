#include "store/schema_shape.hpp"

#include <algorithm>
#include <string_view>

namespace pgstate::store {
namespace {

using settings::quote_identifier;

constexpr std::size_t most_listed = 3;

// An ordinary or a partitioned table; what else can bear the name.
std::string_view kind_refused(const table_shape& actual) {
    switch (actual.kind) {
    case 'r':
    case 'p': return actual.temporary ? "it is a temporary table" : "";
    case 'v': return "it is a view, not a table";
    case 'm': return "it is a materialized view, not a table";
    case 'f': return "it is a foreign table, not a table of this server";
    case 'S': return "it is a sequence, not a table";
    case 'i':
    case 'I': return "it is an index, not a table";
    default: return "it is not a table";
    }
}

const column_shape* find_column(const table_shape& actual, std::string_view name) {
    const auto found = std::ranges::find(actual.columns, name, &column_shape::name);
    return found == actual.columns.end() ? nullptr : &*found;
}

// What is wrong with a column of the right name; empty: nothing.
std::string column_refused(const column_shape& actual, const column_definition& wanted) {
    const auto column = "column " + quote_identifier(actual.name);
    if (actual.type != wanted.type)
        return column + " is " + actual.type + ", not " + std::string(wanted.type);
    if (actual.generated) return column + " is a generated column";
    if (wanted.not_null && !actual.not_null) return column + " allows NULL";
    if (wanted.needs_default && !actual.has_default) return column + " has no default";
    if (!actual.deterministic_collation)
        return column + " has a nondeterministic collation, under which different keys can be equal";
    return {};
}

std::string key_list(const std::vector<std::string>& columns) {
    std::string list = "(";
    for (const auto& column : columns) {
        if (list.size() > 1) list += ", ";
        list += column.empty() ? "an expression" : column;
    }
    return list + ")";
}

std::string primary_key_refused(const table_shape& actual) {
    const std::vector<std::string> wanted{"agent_id", "session_id"};
    const auto primary = std::ranges::find(actual.indexes, true, &index_shape::primary);
    if (primary == actual.indexes.end()) return "there is no primary key; it must be " + key_list(wanted);
    if (primary->columns != wanted)
        return "primary key is " + key_list(primary->columns) + ", not " + key_list(wanted);
    if (!primary->immediate) return "primary key is deferrable, which ON CONFLICT cannot use";
    return {};
}

void compare_columns(const table_shape& actual, shape_difference& difference) {
    for (const auto& wanted : columns()) {
        const auto* column = find_column(actual, wanted.name);
        if (column) {
            if (auto refusal = column_refused(*column, wanted); !refusal.empty())
                difference.refusals.push_back(std::move(refusal));
        } else {
            auto& list = wanted.since == 0 ? difference.refusals : difference.missing;
            list.push_back("column " + quote_identifier(wanted.name) + " is missing");
        }
    }
    for (const auto& column : actual.columns) {
        const bool ours =
            std::ranges::find(columns(), column.name, &column_definition::name) != columns().end();
        if (!ours && column.not_null && !column.has_default)
            difference.refusals.push_back("column " + quote_identifier(column.name) +
                                          " is NOT NULL without a default, so that no state could be saved");
    }
}

// A step is behind us when its columns are there; one without columns when it was written down.
bool applied(const migration& step, const table_shape& actual) {
    bool adds_columns = false;
    for (const auto& column : columns()) {
        if (column.since != step.number) continue;
        if (!find_column(actual, column.name)) return false;
        adds_columns = true;
    }
    return adds_columns || actual.recorded >= step.number;
}

void compare_migrations(const table_shape& actual, shape_difference& difference) {
    auto& plan = difference.plan;
    for (const auto& step : migrations()) {
        if (applied(step, actual)) continue;
        plan.migrations.push_back(step);
        if (difference.missing.empty())
            difference.missing.push_back("migration " + std::to_string(step.number) +
                                         " has not been applied");
    }
    // A newer pgstate may have been here: what it wrote down stays.
    plan.record = std::max(actual.recorded, migrations().back().number);
}

void compare_indexes(const table_shape& actual, const settings::resolved_config& wanted,
                     shape_difference& difference) {
    for (const auto& index : wanted_indexes(wanted)) {
        // Any name will do, and one over all rows: a second index over the same column would only cost.
        const auto serves = [&](const index_shape& have) {
            return have.usable && have.method == index.method && have.columns.size() == 1 &&
                   have.columns.front() == index.column &&
                   (have.predicate.empty() || have.predicate == index.predicate);
        };
        if (std::ranges::any_of(actual.indexes, serves)) continue;
        const auto name = wanted.table.index_name(index.suffix);
        auto where = "(" + std::string(index.column) + ")";
        if (!index.predicate.empty()) where.append(" WHERE ").append(index.predicate);
        if (std::ranges::find(actual.taken_index_names, name) != actual.taken_index_names.end()) {
            difference.refusals.push_back("the name " + quote_identifier(name) +
                                          " is taken by something else than a complete index on " + where +
                                          "; rename or drop that");
            continue;
        }
        difference.missing.push_back("index " + quote_identifier(name) + " on " + where + " is missing");
        difference.plan.indexes.push_back(index);
    }
}

} // namespace

shape_difference compare(const table_shape& actual, const settings::resolved_config& wanted) {
    shape_difference difference;
    if (!actual.exists) {
        difference.plan.create_table = true;
        difference.plan.migrations.assign(migrations().begin(), migrations().end());
        difference.plan.record = migrations().back().number;
        compare_indexes(actual, wanted, difference);
        difference.missing = {"it does not exist"};
        return difference;
    }
    if (const auto refusal = kind_refused(actual); !refusal.empty()) {
        difference.refusals.emplace_back(refusal);
        return difference;
    }
    compare_columns(actual, difference);
    if (auto refusal = primary_key_refused(actual); !refusal.empty())
        difference.refusals.push_back(std::move(refusal));
    compare_migrations(actual, difference);
    compare_indexes(actual, wanted, difference);
    return difference;
}

std::string list_differences(const std::vector<std::string>& differences) {
    std::string list;
    for (std::size_t at = 0; at < differences.size() && at < most_listed; ++at)
        list.append(at == 0 ? "" : "; ").append(differences[at]);
    if (differences.size() > most_listed)
        list += "; and " + std::to_string(differences.size() - most_listed) + " more";
    return list;
}

} // namespace pgstate::store
