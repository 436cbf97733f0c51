#ifndef PGSTATE_STORE_JSONPATH_EVALUATOR_HPP
#define PGSTATE_STORE_JSONPATH_EVALUATOR_HPP

#include "store/jsonpath.hpp"
#include "store/jsonpath_tree.hpp"

#include <boost/json/value.hpp>

namespace pgstate::store {

/// Thrown where a document leads to something that is not evaluated here.
struct path_not_evaluated {
    path_place place;
};

/// What `document @@ path` gives. \pre nothing in `path` is not evaluated whatever the document is
/// \throws path_not_evaluated
jsonpath::truth evaluate(const path_tree& path, const boost::json::value& document);

} // namespace pgstate::store

#endif
