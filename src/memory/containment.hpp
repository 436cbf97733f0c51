#pragma once

#include <boost/json/value.hpp>

namespace pgstate::memory {

/// What `whole @> part` says of two jsonb values: an object contains one whose members it has, with values that contain
/// theirs; an array contains one whose elements it has, in any order and however often. Numbers are equal as numbers,
/// whatever holds them. A whole that is an array also contains a primitive that it has as an element.
/// \pre both are what a state can hold: UTF-8, finite numbers, not deeper than max_depth
bool contains(const boost::json::value& whole, const boost::json::value& part);

/// Whether jsonb takes two numbers, booleans, strings or nulls for equal; false for an object or an array.
bool same_primitive(const boost::json::value& a, const boost::json::value& b);

} // namespace pgstate::memory
