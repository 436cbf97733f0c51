#pragma once

// Everything but embedded_server.hpp and the adapters.

#include "pgstate/agent_state.hpp"
#include "pgstate/checkpoint.hpp"
#include "pgstate/config.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/error.hpp"
#include "pgstate/history_window.hpp"
#include "pgstate/logger.hpp"
#include "pgstate/memory_store.hpp"
#include "pgstate/message_page.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/postgres_store.hpp"
#include "pgstate/result.hpp"
#include "pgstate/rfc3339.hpp"
#include "pgstate/state_store.hpp"
#include "pgstate/tracer.hpp"
#include "pgstate/transaction.hpp"
#include "pgstate/version.hpp"
