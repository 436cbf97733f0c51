#include "pgstate/detail/encoded_state.hpp"

#include "store/codec.hpp"
#include "store/validate.hpp"

namespace pgstate::detail {

encoded_state::encoded_state(const agent_state& state) : version(state.version) {
    try {
        store::validate_key(state.agent_id, state.session_id, "save");
        agent_id = state.agent_id;
        session_id = state.session_id;
        document = store::encode(state);
    } catch (...) {
        failure = to_error(std::current_exception());
    }
}

} // namespace pgstate::detail
