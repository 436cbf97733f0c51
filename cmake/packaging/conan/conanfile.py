"""The recipe for Conan 2: conan create cmake/packaging/conan"""

import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy

ROOT = os.path.join("..", "..", "..")


class PgstateConan(ConanFile):
    name = "pgstate"
    version = "0.1.0"
    package_type = "library"
    license = "MIT"
    description = "PostgreSQL state store for AI agents on Boost.Asio"
    topics = ("postgresql", "asio", "coroutines", "agents")
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "embedded": [True, False],
        "spdlog": [True, False],
        "prometheus": [True, False],
        "opentelemetry": [True, False],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "embedded": False,
        "spdlog": False,
        "prometheus": False,
        "opentelemetry": False,
    }

    def export_sources(self):
        root = os.path.join(self.recipe_folder, ROOT)
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"):
            copy(self, pattern, root, self.export_sources_folder)

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("boost/1.83.0", transitive_headers=True, transitive_libs=True)
        self.requires("libpqxx/7.10.0", transitive_headers=True, transitive_libs=True)
        self.requires("libpq/[>=14]")
        self.requires("openssl/[>=1.1 <4]")
        if self.options.spdlog:
            self.requires("spdlog/[>=1.10 <2]", transitive_headers=True)
        if self.options.prometheus:
            self.requires("prometheus-cpp/[>=1.0 <2]", transitive_headers=True)
        if self.options.opentelemetry:
            self.requires("opentelemetry-cpp/[>=1.9 <2]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for component in ("embedded", "spdlog", "prometheus", "opentelemetry"):
            toolchain.cache_variables[f"PGSTATE_BUILD_{component.upper()}"] = bool(self.options.get_safe(component))
        for part in ("BENCH", "CLI", "EXAMPLES", "TESTS"):
            toolchain.cache_variables[f"PGSTATE_BUILD_{part}"] = False
        toolchain.cache_variables["PGSTATE_PCH"] = False
        toolchain.cache_variables["PGSTATE_WARNINGS_AS_ERRORS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        # The installed CMake files are those of an installation by hand.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "pgstate")]
        self.cpp_info.libs = ["pgstate"]
