#ifndef SESSION_SERVER_LOG_HPP
#define SESSION_SERVER_LOG_HPP

#include <pgstate/logger.hpp>

#include <spdlog/logger.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace session_server {

/// One JSON object a line: the record's time, level, logger and message, and its attributes as members of their own.
/// Numbers are written without an exponent, for readers that do not know one. A store writes its records to it, and so does
/// the server.
/// Thread safety: all members.
class json_logger final : public pgstate::logger {
public:
    /// \param lines  takes a line as its message, without adding to it
    explicit json_logger(std::shared_ptr<spdlog::logger> lines) : lines_(std::move(lines)) {}

    bool enabled(pgstate::log_level level) const override;
    void log(const pgstate::log_record& record) override;

    /// Logs, if `level` is wanted.
    void write(pgstate::log_level level, std::string_view message,
               std::initializer_list<pgstate::attribute> attributes = {});

private:
    std::shared_ptr<spdlog::logger> lines_;
};

/// The program's loggers. They share one sink, the standard error.
struct logs {
    std::shared_ptr<json_logger> server;   ///< what happens to the program
    std::shared_ptr<json_logger> store;    ///< pgstate's own records
    std::shared_ptr<json_logger> requests; ///< a line for each
};

logs make_logs(spdlog::level::level_enum level);

} // namespace session_server

#endif
