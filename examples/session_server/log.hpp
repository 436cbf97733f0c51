#ifndef SESSION_SERVER_LOG_HPP
#define SESSION_SERVER_LOG_HPP

#include <spdlog/logger.h>

#include <memory>

namespace session_server {

/// The program's loggers. They share one sink: the standard error, one JSON object a line.
struct logs {
    std::shared_ptr<spdlog::logger> server; ///< what happens to the program, as text
    std::shared_ptr<spdlog::logger> store;  ///< pgstate's own records, through its adapter
    std::shared_ptr<spdlog::logger>
        requests; ///< each message is a JSON object, whose members go into the line
};

logs make_logs(spdlog::level::level_enum level);

} // namespace session_server

#endif
