#include "pgstate/detail/encoded_state.hpp"

#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "codec/validate.hpp"

namespace pgstate::detail {

encoded_state::encoded_state(const agent_state& state) : version(state.version) {
    try {
        codec::validate_key(state.agent_id, state.session_id, "save");
        agent_id = state.agent_id;
        session_id = state.session_id;
        const auto partial = codec::check_partial(state, "save");
        stored_messages = partial.stored;
        mark = partial.after;
        epoch = partial.epoch;
        known_messages = partial.stored_known;
        auto encoded = codec::encode_placed(state, "save", partial.known);
        document = std::move(encoded.text);
        mark = codec::with_time(mark, encoded.dated);
        history = std::move(encoded.history);
    } catch (...) {
        failure = to_error(std::current_exception());
    }
}

} // namespace pgstate::detail
