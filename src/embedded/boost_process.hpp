#pragma once

// Boost.Process's first API, which has a directory and a namespace of its own since Boost 1.86. Not the second: in Boost 1.81
// and 1.83 it lets the child have the descriptors below its own pipe's, runs this process's atexit functions in a child that
// could not be executed, and does not wait for that child.
#if __has_include(<boost/process/v1/child.hpp>)
#    include <boost/process/v1/args.hpp>
#    include <boost/process/v1/child.hpp>
#    include <boost/process/v1/env.hpp>
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
#    include <boost/process/env.hpp>
#    include <boost/process/error.hpp>
#    include <boost/process/exe.hpp>
#    include <boost/process/extend.hpp>
#    include <boost/process/io.hpp>

namespace pgstate::embedded {
namespace process = boost::process;
}
#endif
