#include "batch/admission.hpp"

namespace pgstate::batch {

std::string admission::refusal(std::size_t bytes) const {
    // Others come and go meanwhile: what was not too many by now was too large.
    const bool too_many = operations() >= limits_.max_operations;
    return (too_many ? std::to_string(limits_.max_operations) +
                           " operations are pending, which config.pending.max_operations allows at most"
                     : std::to_string(bytes) + " bytes more than those that are pending would exceed the " +
                           std::to_string(limits_.max_bytes) + " of config.pending.max_bytes") +
           "; nothing was sent. Try again when others have completed, and start fewer at once";
}

} // namespace pgstate::batch
