#pragma once

#include "batch/operation.hpp"
#include "wire/rows.hpp"
#include "wire/statement.hpp"

#include <cstddef>
#include <vector>

namespace pgstate::sql {

// How the keys of operations become parameters, and how the rows of an answer find their operations. The operations of a
// batch are sorted by key.

/// Adds $1 and $2 of a statement for one key.
void add_key(wire::parameters& values, const batch::operation& what);

/// Adds two arrays, $1 and $2 of a statement for several keys: each key once, as operations that read the same state share
/// its row.
void add_keys(wire::parameters& values, const batch::operation_list& operations);

/// \throws error corrupt_state - the answer does not fit the statement
[[noreturn]] void refuse_answer();

/// For a statement of one operation: its row, -1 where the answer is empty.
/// \throws error corrupt_state - there are more rows
int only_row(const wire::rows& rows);

/// Of an answer whose column `ordinal` counts `count` inputs from 1: which row is each input's, -1 for none.
/// \throws error corrupt_state - an ordinal is out of range, or occurs twice
std::vector<int> rows_by_ordinal(std::size_t count, const wire::rows& rows, int ordinal);

/// Of an answer whose column `ordinal` counts the keys from 1: which row is each operation's, -1 for none.
/// \throws error corrupt_state - an ordinal is out of range, or occurs twice
std::vector<int> pair_by_ordinal(const batch::operation_list& operations, const wire::rows& rows,
                                 int ordinal);

/// Of an answer whose columns `agent_id` and `agent_id + 1` are the key as it is stored, and which has a row for each
/// operation that wrote one, in their order. INSERT … SELECT … ORDER BY gives that order, but on several nodes. So rows whose
/// keys were sent are paired by key. Where there are others, a trigger has changed keys: as many rows as operations are
/// paired by position; of fewer, those with an exact key are, and every other operation has to be sent alone.
/// \pre no two operations have the same key
/// \throws error corrupt_state - there are more rows than operations
std::vector<int> pair_in_order(const batch::operation_list& operations, const wire::rows& rows, int agent_id);

} // namespace pgstate::sql
