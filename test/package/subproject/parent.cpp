#include <pgstate/agent_state.hpp>
#include <pgstate/version.hpp>

int answer() {
    const double with_a_warning = 9.5; // that pgstate has as an error, and this project does not
    const int whole = with_a_warning;
    return pgstate::agent_state("agent-1", "session-1").version == 0 ? whole : pgstate::version();
}
