#pragma once

#include "sql/target_table.hpp"
#include "wire/statement.hpp"

#include <string>
#include <string_view>

/// The statements of the operations on checkpoints. $1 and $2 are the key of the state.
///
/// They are planned each time: the plan that a server keeps for an empty table would stay when it has grown.
namespace pgstate::sql::checkpoint_sql {

/// Of $1, $2 and the label $3: makes a checkpoint of the state, or labels the one there is.
wire::statement make(const target_table& table);
/// Of $1, $2, a limit $3 and NULL or the version $4 below which they are.
wire::statement list(const target_table& table);
/// Of $1, $2 and the version $3.
wire::statement load_at(const target_table& table);
/// Of $1, $2, the version $3, NULL or the version $4 that must be there, the ttl $5 and the write's name $6.
/// \param returning  the columns of a write's answer, of `t`
wire::statement restore(const target_table& table, const std::string& returning);
/// Of $1, $2 and the version $3: what a restore met.
wire::statement restore_probe(const target_table& table);
/// Of $1, $2, NULL or the version $3, the new session $4, its ttl $5 and the write's name $6.
/// \param returning  the columns of a write's answer, of `t`
wire::statement fork(const target_table& table, const std::string& returning);
/// Of $1, $2, $3 and $4: what a fork met.
wire::statement fork_probe(const target_table& table);
/// Of $1, $2, how many to keep $3, and the least age $4 in milliseconds. Those of an earlier life go too, and are not counted.
wire::statement prune(const target_table& table);

/// Parts of a statement whose part `w` has all columns of the states that a save wrote: they make a checkpoint of each, and
/// remove those that are too many. "" where the table's stores make none.
std::string of_saves(const table_sql& table);

/// A save with a checkpoint, where such are made. \param write  makes the save from what it returns
/// \param answer  the columns of its answer, of `t`; \param also  "" or ", " and another one, of its source
template <class Write>
std::string saving(const table_sql& table, const std::string& answer, Write write,
                   std::string_view also = {}) {
    if (!table.where().checkpoint_every_save) return write(std::string(answer).append(also));
    const auto ordinal = also.empty() ? std::string() : std::string(also).append(" AS save_ordinal");
    return "WITH w AS (" + write("t.*" + ordinal) + ")" + of_saves(table) + " SELECT " + answer +
           (also.empty() ? "" : ", t.save_ordinal") + " FROM w AS t";
}

} // namespace pgstate::sql::checkpoint_sql
