#include "postgres/operations/health.hpp"

#include "sql/keys.hpp"
#include "sql/prepared.hpp"

#include <chrono>
#include <utility>

namespace pgstate::postgres {
namespace {

namespace health_row {
enum : int { server_version, read_only };
}

} // namespace

health_operation::health_operation(const batch::operation_type& as, std::shared_ptr<pool::core> pool,
                                   handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::health_check, as, std::move(handler), io),
      pool_(std::move(pool)) {}

result<health_report> health_operation::decode() {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(batch::clock::now() - started_);
    return health_report{took, static_cast<int>(rows().int8(0, health_row::server_version)),
                         rows().boolean(0, health_row::read_only), pool_->stats()};
}

health_type::health_type(sql::target_table& table)
    : operation_type({}), table_(table),
      statement_(sql::prepared("health",
                               "SELECT current_setting('server_version_num')::bigint, "
                               "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean",
                               {})) {}

batch::command health_type::build(const batch::operation_list&) const {
    return {&statement_, {}, table_.before_others()};
}

std::vector<int> health_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    if (rows.size() != 1) sql::refuse_answer();
    return {0};
}

} // namespace pgstate::postgres
