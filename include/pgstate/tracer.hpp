#pragma once

#include "pgstate/attribute.hpp"
#include "pgstate/detail/export.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace pgstate {

/// A span's place in the world, as W3C Trace Context has it: what travels between processes in a `traceparent` header.
struct span_context {
    std::array<std::byte, 16> trace_id{}; ///< of all spans that belong together
    std::array<std::byte, 8> span_id{};   ///< of this one
    bool sampled = false;                 ///< whether it is recorded, as far as is known

    /// All zeros is no span.
    bool valid() const noexcept { return trace_id != decltype(trace_id){} && span_id != decltype(span_id){}; }
    friend bool operator==(const span_context&, const span_context&) = default;
};

/// What a span is about.
enum class span_kind {
    internal, ///< an operation of the store
    client,   ///< a statement, which the server executes
};

/// What a span starts with. Only lent for the call.
struct span_start {
    std::string_view name{};                    ///< "pgstate.save", "INSERT agent_states"
    span_kind kind = span_kind::internal;       ///< what it is about
    span_context parent{};                      ///< not valid: the start of a trace of its own
    std::span<const span_context> links{};      ///< other spans that it has to do with
    std::chrono::steady_clock::time_point at{}; ///< when it began: now, or a little while ago
    std::span<const attribute> attributes{};    ///< those known at the start
};

/// A span under way. One thread at a time calls it. Destroyed without `end`, it is given up.
class PGSTATE_API span {
public:
    virtual ~span();
    /// What others name it by: as a parent, or in a link.
    virtual span_context context() const = 0;
    /// Adds attributes.
    virtual void set(std::span<const attribute> attributes) = 0;
    /// Something that happened in it, `at` or a little while before the call.
    virtual void event(std::string_view name, std::chrono::steady_clock::time_point at,
                       std::span<const attribute> attributes) = 0;
    /// Ends it; the last call. \param error  empty: it went well; otherwise its attribute `error.type`, which is set by this
    virtual void end(std::chrono::steady_clock::time_point at, std::string_view error) = 0;
};

/// Where a store's spans go; implement it over the program's own tracing, or use `adapters/opentelemetry.hpp`.
///
/// Thread safety: the members are called from any thread, several at once.
/// Calls:         on the executor of the operation that a span is about, in the call that started the operation, or on a
///                worker thread of the pool; never under a lock of the library's.
/// Exceptions:    are swallowed; the span is lost and nothing else.
/// Lifetime:      shared with every store and pool whose `config` names it; spans never outlive it.
class PGSTATE_API tracer {
public:
    virtual ~tracer();

    /// Null: this one is not recorded, which saves the rest of the work.
    virtual std::unique_ptr<span> start(const span_start& what) = 0;

    /// The span that the calling thread is in: the parent of an operation whose options name none. By default none.
    virtual span_context current() { return {}; }

    /// Makes `what` the calling thread's current span until the returned object is destroyed, on the same thread. Called
    /// around the user's functions on worker threads. What it returns may outlive the span, which another thread may end
    /// meanwhile when the operation is cancelled or its time runs out. By default nothing.
    class PGSTATE_API scope {
    public:
        virtual ~scope();
    };
    /// See `scope`. Null: there is nothing to end.
    virtual std::unique_ptr<scope> activate(span& /*what*/) { return nullptr; }
};

} // namespace pgstate
