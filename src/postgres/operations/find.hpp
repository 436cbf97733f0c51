#ifndef PGSTATE_POSTGRES_OPERATIONS_FIND_HPP
#define PGSTATE_POSTGRES_OPERATIONS_FIND_HPP

#include "codec/query.hpp"
#include "pgstate/operations.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "sql/target_table.hpp"

#include <vector>

namespace pgstate::postgres {

/// A query's statement with its parameters. Each combination of conditions is a text of its own, which the server plans
/// each time: a plan for all of them could use no index.
struct search {
    wire::statement what;
    wire::parameters values;
};

/// \param query     must stay where it is until the search has been sent
/// \param by_index  there is an index over the documents
search make_search(const sql::table_sql& sql, const codec::encoded_query& query, bool by_index);

class find_operation final : public caller_operation<state_page> {
public:
    /// \param by_index  there is an index over the documents
    find_operation(const batch::operation_type& as, codec::encoded_query query, const sql::table_sql& sql,
                   bool by_index, handler_type handler, const boost::asio::any_completion_executor& io);

    const postgres::search& search() const noexcept { return search_; }

private:
    result<state_page> decode() override;
    agent_state state_in(int row) const;
    error explain(error failure) const override;

    const codec::encoded_query query_;
    const postgres::search search_; ///< refers to the query
};

class find_type final : public batch::operation_type {
public:
    explicit find_type(sql::target_table& table) noexcept
        : operation_type({.takes_long = true}), table_(table) {}
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows&) const override { return {0}; }

private:
    sql::target_table& table_;
};

} // namespace pgstate::postgres

#endif
