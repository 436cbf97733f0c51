#include "postgres/operations/rows_write.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace pgstate::postgres {
namespace {

std::size_t bytes_of(const std::vector<std::string_view>& texts) {
    std::size_t sum = 0;
    for (const auto each : texts)
        sum += each.size();
    return sum;
}

/// Adds the columns of an input.
class input_adder {
public:
    input_adder(const batch::operation_list& operations, const std::vector<row_input>& inputs)
        : operations_(operations), inputs_(inputs) {}

    void add(wire::parameters& to, std::string_view columns) const {
        for (const char column : columns)
            add(to, column);
    }

    /// Of all operations, one after the other.
    void add_messages(wire::parameters& to) const {
        std::size_t count = 0;
        std::size_t bytes = 0;
        for (const auto& each : inputs_) {
            count += each.messages.size();
            bytes += bytes_of(each.messages);
        }
        to.begin_text_array(count, bytes);
        for (const auto& each : inputs_)
            for (const auto message : each.messages)
                to.element_text(message);
    }

private:
    bool one() const noexcept { return operations_.size() == 1; }

    void add(wire::parameters& to, char column) const {
        switch (column) {
        case 'a':
            return add_texts(to, [&](std::size_t i) { return std::string_view(operations_[i]->agent_id); });
        case 's':
            return add_texts(to, [&](std::size_t i) { return std::string_view(operations_[i]->session_id); });
        case 'd': return add_texts(to, [&](std::size_t i) { return inputs_[i].document; });
        case 'e': return add_epochs(to);
        case 'b': return add_first_messages(to);
        case 'l': return add_numbers(to, [](const row_input& each) { return each.ttl; });
        case 'm': return add_numbers(to, [](const row_input& each) { return each.created_ttl; });
        case 'v':
            return add_numbers(
                to, [](const row_input& each) { return sql::message_rows::version_condition(each.version); });
        case 'k': return add_numbers(to, [](const row_input& each) { return each.known; });
        default:
            return add_numbers(
                to, [](const row_input& each) { return static_cast<std::int64_t>(each.messages.size()); });
        }
    }

    template <class Get>
    void add_texts(wire::parameters& to, Get get) const {
        if (one()) return to.add_text(get(0));
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < inputs_.size(); ++i)
            bytes += get(i).size();
        to.begin_text_array(inputs_.size(), bytes);
        for (std::size_t i = 0; i < inputs_.size(); ++i)
            to.element_text(get(i));
    }

    template <class Get>
    void add_numbers(wire::parameters& to, Get get) const {
        if (one()) return to.add_int8(get(inputs_.front()));
        to.begin_int8_array(inputs_.size());
        for (const auto& each : inputs_)
            to.element_int8(get(each));
    }

    void add_epochs(wire::parameters& to) const {
        if (one()) return to.add_uuid(inputs_.front().epoch);
        to.begin_uuid_array(inputs_.size());
        for (const auto& each : inputs_)
            to.element_uuid(each.epoch);
    }

    void add_first_messages(wire::parameters& to) const {
        std::int64_t next = 1;
        add_numbers(to, [&](const row_input& each) {
            return std::exchange(next, next + static_cast<std::int64_t>(each.messages.size()));
        });
    }

    const batch::operation_list& operations_;
    const std::vector<row_input>& inputs_;
};

} // namespace

rows_write::rows_write(sql::target_table& table, std::string_view purpose, bool finds, statement_text text,
                       statement_text lock)
    : writing_type(table, true, pairing::ordinal), finds_(finds) {
    using input = sql::message_rows::input;
    const sql::message_rows one(table.sql(), input::one);
    const sql::message_rows many(table.sql(), input::many);
    const auto make = [&](statement_text of, const std::string& name) -> forms {
        const auto of_one = of(one);
        const auto of_many = of(many);
        return {of_one.columns,
                finds ? sql::make_lookup(name, of_one.sql, of_one.parameters, of_many.sql, of_many.parameters)
                      : sql::lookup{sql::prepared_by_size(name, of_one.sql, of_one.parameters),
                                    sql::prepared_by_size(name + "_many", of_many.sql, of_many.parameters)}};
    };
    const auto name = std::string(purpose).append("_rows");
    write_ = make(text, name);
    for (auto* each : {&write_.statements.one, &write_.statements.many})
        each->small.verb = each->large.verb = finds ? "UPDATE" : "INSERT";
    if (lock) lock_ = make(lock, name + "_lock");
}

batch::command rows_write::build_without_name(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool large = table().large();
    std::vector<row_input> inputs;
    inputs.reserve(operations.size());
    for (const auto& each : operations)
        inputs.push_back(input_of(*each));
    const input_adder adder(operations, inputs);
    const auto statement = [&](const forms& of) {
        return &(one ? of.statements.one : of.statements.many).of(large);
    };
    batch::command made{statement(write_),
                        {},
                        (one || large || !finds_) && !lock_ ? table().before() : table().before_lookups()};
    adder.add(made.values, write_.columns);
    adder.add_messages(made.values);
    if (lock_) {
        made.lock = statement(*lock_);
        adder.add(made.lock_values, lock_->columns);
    }
    return made;
}

} // namespace pgstate::postgres
