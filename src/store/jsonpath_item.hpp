#ifndef PGSTATE_STORE_JSONPATH_ITEM_HPP
#define PGSTATE_STORE_JSONPATH_ITEM_HPP

#include "store/numeric.hpp"

#include <boost/json/value.hpp>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace pgstate::store {

struct path_pair;

/// What a path gives and takes: a value of the document, which it points into, or one that was made on the way.
struct path_item {
    enum class kind : std::uint8_t { null, boolean, number, string, array, object };

    kind what = kind::null;
    bool truth = false;                        ///< of a boolean
    const boost::json::value* value = nullptr; ///< a number, an array or an object of the document
    std::string_view text{};                   ///< of a string
    std::shared_ptr<const numeric> number{};   ///< that was calculated
    std::shared_ptr<const path_pair> pair{};   ///< an object that .keyvalue() made
    bool server_only = false; ///< a number that the server alone knows: the id in such an object

    bool is_container() const noexcept { return what == kind::array || what == kind::object; }
};

using path_items = std::vector<path_item>;

/// A member of an object, as .keyvalue() gives it.
struct path_pair {
    std::string_view key;
    path_item value;
};

path_item item_of(const boost::json::value& value);
path_item item_of(bool truth);
path_item item_of(std::string_view text);
path_item item_of(numeric number);

/// What .type() says.
std::string_view type_name(const path_item& item) noexcept;

/// Nothing where there is no such member. \pre the item is an object
std::optional<path_item> member_of(const path_item& object, std::string_view key);

struct path_member {
    std::string_view key;
    path_item value;
};

/// In jsonb's order: by the length of the key, then by its bytes. \pre the item is an object
std::vector<path_member> members_of(const path_item& object);

/// The elements of an array, or the values of an object in jsonb's order.
path_items children_of(const path_item& container);

/// The double that a text stands for where the server reads one; nothing if it refuses the text, or for an infinity or
/// a NaN.
std::optional<double> read_float8(std::string_view text);

} // namespace pgstate::store

#endif
