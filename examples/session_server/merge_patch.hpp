#ifndef SESSION_SERVER_MERGE_PATCH_HPP
#define SESSION_SERVER_MERGE_PATCH_HPP

#include <pgstate/agent_state.hpp>
#include <pgstate/operations.hpp>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace session_server {

/// A JSON merge patch (RFC 7396) of a session's `data` and `context`.
///
/// The store's merge sets and removes members as a whole, and the patch goes on into objects: so one that changes
/// members of `data` and `context` alone becomes a merge as it is, and one that goes deeper needs the members that are
/// there.
class merge_patch {
public:
    /// \throws http_error 422 - it is no object, it has other members than `data` and `context`, or these are no objects
    explicit merge_patch(boost::json::value document);

    /// Whether it goes deeper than the members of `data` and `context`.
    bool is_nested() const noexcept;

    /// \pre not is_nested()
    pgstate::state_patch as_it_is() const;
    /// What makes of `current` what the patch makes of it.
    pgstate::state_patch applied_to(const pgstate::agent_state& current) const;

private:
    boost::json::object data_;
    boost::json::object context_;
};

} // namespace session_server

#endif
