#include "pgstate/adapters/spdlog.hpp"

#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pgstate::attribute;
using pgstate::log_level;
using pgstate::spdlog_logger;

/// A spdlog logger that writes into a string.
struct written {
    std::ostringstream text;
    std::shared_ptr<spdlog::logger> logger =
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));

    explicit written(const std::string& pattern = "%v") {
        logger->set_pattern(pattern, spdlog::pattern_time_type::utc);
        logger->set_level(spdlog::level::trace);
    }
};

std::string line_of(std::string_view message, std::vector<attribute> attributes) {
    written to;
    spdlog_logger(to.logger).log({log_level::info, message, attributes});
    return to.text.str();
}

std::string value_of(std::string_view text) {
    const auto line = line_of("m", {{"k", text}});
    REQUIRE(line.starts_with("m k="));
    REQUIRE(line.ends_with('\n'));
    return line.substr(4, line.size() - 5);
}

TEST_CASE("spdlog: a record is its message and its attributes in logfmt") {
    CHECK(line_of("operation failed", {{"db.operation.name", "save"},
                                       {"error.type", "conflict"},
                                       {"attempt", std::int64_t{-3}},
                                       {"seconds", 0.25},
                                       {"retried", true},
                                       {"slow", false}}) ==
          "operation failed db.operation.name=save error.type=conflict attempt=-3 seconds=0.25 retried=true "
          "slow=false\n");
    CHECK(line_of("connected", {}) == "connected\n");
    CHECK(line_of("m", {{"least", std::numeric_limits<std::int64_t>::min()}, {"tenth", 0.1}}) ==
          "m least=-9223372036854775808 tenth=0.1\n");
}

TEST_CASE("spdlog: the levels are spdlog's") {
    written to("%l %v");
    spdlog_logger logger(to.logger);
    for (const auto level :
         {log_level::trace, log_level::debug, log_level::info, log_level::warn, log_level::error})
        logger.log({level, "m", {}});
    CHECK(to.text.str() == "trace m\ndebug m\ninfo m\nwarning m\nerror m\n");
}

TEST_CASE("spdlog: what is wanted is asked of spdlog each time") {
    written to;
    spdlog_logger logger(to.logger);
    to.logger->set_level(spdlog::level::warn);
    CHECK(logger.enabled(log_level::error));
    CHECK(logger.enabled(log_level::warn));
    CHECK_FALSE(logger.enabled(log_level::info));

    to.logger->set_level(spdlog::level::debug);
    CHECK(logger.enabled(log_level::debug));
    CHECK_FALSE(logger.enabled(log_level::trace));

    to.logger->set_level(spdlog::level::off);
    CHECK_FALSE(logger.enabled(log_level::error));
    to.logger->enable_backtrace(4);
    CHECK(logger.enabled(log_level::trace));
}

TEST_CASE("spdlog: a value that could be taken for something else is quoted") {
    CHECK(value_of("plain-value_1.0/x:y") == "plain-value_1.0/x:y");
    CHECK(value_of("") == R"("")");
    CHECK(value_of("two words") == R"("two words")");
    CHECK(value_of("a=b") == R"("a=b")");
    CHECK(value_of(R"(say "hi")") == R"("say \"hi\"")");
    CHECK(value_of(R"(back\slash)") == R"("back\\slash")");
    CHECK(value_of("Grüße") == "Grüße");
}

TEST_CASE("spdlog: nothing in a value starts a line or becomes an attribute") {
    CHECK(value_of("x\n2026 operation failed error.type=y") == R"("x\n2026 operation failed error.type=y")");
    CHECK(value_of("a\r\tb") == R"("a\r\tb")");
    CHECK(value_of(std::string_view("a\0b\x1b[31m\x7f", 9)) == R"("a\x00b\x1b[31m\x7f")");
    CHECK(value_of("a\xc2\x85"
                   "b") == R"("a\xc2\x85b")"); // next line
    CHECK(value_of("a\xe2\x80\xa8"
                   "b\xe2\x80\xa9") == R"("a\xe2\x80\xa8b\xe2\x80\xa9")"); // line and paragraph separators
    CHECK(value_of("\xc2") == "\xc2");                                     // ends within a character
    CHECK(value_of("x\" forged=\"1") == R"("x\" forged=\"1")");
    CHECK(line_of("m\nn", {{"a b=c\nd", true}}) == "m\\nn a_b_c_d=true\n");
}

TEST_CASE("spdlog: text is never a format string") {
    CHECK(line_of("{} {0:x} %v {", {{"k", "{}{"}}) == "{} {0:x} %v { k={}{\n");
}

/// Passes on what it gets once it is opened.
class gated_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    void open() { opened_.set_value(); }
    std::string text() {
        const std::lock_guard guard(mutex_);
        return text_;
    }

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        open_.wait();
        text_.append(message.payload.data(), message.payload.size()).append("\n");
    }
    void flush_() override {}

    std::promise<void> opened_;
    std::shared_future<void> open_ = opened_.get_future().share();
    std::string text_;
};

TEST_CASE("spdlog: an asynchronous logger needs nothing of the record any more") {
    auto sink = std::make_shared<gated_sink>();
    auto threads = std::make_shared<spdlog::details::thread_pool>(64, 1);
    auto asynchronous = std::make_shared<spdlog::async_logger>("asynchronous", sink, threads);
    spdlog_logger logger(asynchronous);
    std::string expected;
    for (int i = 0; i < 8; ++i) {
        std::string message = "message number " + std::to_string(i) + std::string(100, '.');
        std::string value = "value " + std::to_string(i);
        expected += message + " k=\"" + value + "\"\n";
        const attribute attributes[] = {{"k", value}};
        logger.log({log_level::info, message, attributes});
        message.assign(message.size(), '#');
        value.assign(value.size(), '#');
    }
    sink->open();
    asynchronous.reset();
    threads.reset(); // waits for its thread, which first writes all there is
    CHECK(sink->text() == expected);
}

TEST_CASE("spdlog: by default the default logger, and never none") {
    written to;
    const auto before = spdlog::default_logger();
    spdlog::set_default_logger(to.logger);
    spdlog_logger logger;
    spdlog::set_default_logger(before);
    logger.log({log_level::info, "here", {}});
    CHECK(to.text.str() == "here\n");
    CHECK(pgstate_test::failure_of([] { spdlog_logger none(nullptr); }) == pgstate::errc::invalid_argument);
}

} // namespace
