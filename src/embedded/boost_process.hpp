#ifndef PGSTATE_EMBEDDED_BOOST_PROCESS_HPP
#define PGSTATE_EMBEDDED_BOOST_PROCESS_HPP

// Boost.Process's first API moved to a directory and a namespace of its own in Boost 1.86.
#if __has_include(<boost/process/v1/child.hpp>)
#    include <boost/process/v1/args.hpp>
#    include <boost/process/v1/child.hpp>
#    include <boost/process/v1/error.hpp>
#    include <boost/process/v1/exe.hpp>
#    include <boost/process/v1/extend.hpp>
#    include <boost/process/v1/io.hpp>

namespace pgstate::embedded {
namespace process = boost::process::v1;
}
#else
#    include <boost/process/args.hpp>
#    include <boost/process/child.hpp>
#    include <boost/process/error.hpp>
#    include <boost/process/exe.hpp>
#    include <boost/process/extend.hpp>
#    include <boost/process/io.hpp>

namespace pgstate::embedded {
namespace process = boost::process;
}
#endif

#endif
