#include "fault/message_rows.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <string>

using namespace pgstate_test;

TEST_CASE("whatever is wrong with messages in rows is found", "[history][rows]") {
    const auto database = server().connection_string(fresh_database_name());
    asio::io_context context;
    pgstate::config settings;
    settings.connection_string = database;
    settings.schema.history = pgstate::history_layout::rows;
    run(context, [&]() -> asio::awaitable<void> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        pgstate::agent_state state("a", "s");
        const pgstate::agent_state empty("a", "empty");
        co_await store.save(empty);
        for (int i = 0; i < 3; ++i)
            state.history.emplace_back("user", std::to_string(i));
        co_await store.save(state);
        co_await store.checkpoint("a", "s");
        co_await store.save(state); // under another name: the checkpoint has messages of its own
        co_await store.close();
    });
    pqxx::connection connection(database);
    const auto change = [&](const std::string& sql) { pqxx::nontransaction(connection).exec(sql); };
    const auto found = look_at_message_rows(database);
    CHECK(found.wrongs.empty());
    CHECK(found.in_rows == 2);
    CHECK(found.in_document == 0);
    CHECK(found.rows == 6);

    const std::string of_state = " WHERE epoch = (SELECT epoch FROM agent_states WHERE session_id = 's')";
    const std::string of_checkpoint = " WHERE epoch = (SELECT epoch FROM agent_states_checkpoints)";
    change(GENERATE_COPY("DELETE FROM agent_states_messages" + of_state + " AND seq = 0",
                         "DELETE FROM agent_states_messages" + of_state + " AND seq = 2",
                         "DELETE FROM agent_states_messages" + of_checkpoint + " AND seq = 1",
                         "UPDATE agent_states_messages SET seq = 3" + of_state + " AND seq = 1",
                         "UPDATE agent_states_messages SET epoch = gen_random_uuid()" + of_checkpoint,
                         "INSERT INTO agent_states_messages SELECT 'b', session_id, epoch, seq, id, message"
                         " FROM agent_states_messages LIMIT 1",
                         "UPDATE agent_states SET messages = 4 WHERE session_id = 's'",
                         "UPDATE agent_states SET messages = 1 WHERE session_id = 'empty'",
                         "UPDATE agent_states SET messages = NULL WHERE session_id = 'empty'"));
    CHECK_FALSE(look_at_message_rows(database).wrongs.empty());
}
