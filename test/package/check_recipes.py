#!/usr/bin/env python3
"""Checks what tells others about the package: check_recipes.py ROOT VERSION

The version that stands in the vcpkg port, the Conan recipe, the image and the change log is VERSION, CMake's. vcpkg.json
has the fields that vcpkg knows, and a feature for each component; the recipes' options exist. Prints what is wrong, and
fails if something is.
"""

import ast
import json
import re
import sys
from pathlib import Path

PORT = "cmake/packaging/vcpkg/ports/pgstate"
CONAN = "cmake/packaging/conan"
# https://learn.microsoft.com/vcpkg/reference/vcpkg-json, of a port
FIELDS = {"name", "version-semver", "port-version", "description", "homepage", "documentation", "license", "maintainers",
          "supports", "dependencies", "default-features", "features"}
DEPENDENCY_FIELDS = {"name", "default-features", "features", "host", "platform", "version>="}
IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COMPONENTS = {"embedded", "spdlog", "prometheus", "opentelemetry"}


def check_dependencies(dependencies, where):
    names = []
    for dependency in dependencies:
        if isinstance(dependency, str):
            dependency = {"name": dependency}
        if unknown := dependency.keys() - DEPENDENCY_FIELDS:
            yield f"{where}: a dependency has no {', '.join(sorted(unknown))}"
        names.append(dependency.get("name", ""))
    for name in names:
        if not IDENTIFIER.fullmatch(name):
            yield f"{where}: {name!r} is no port's name"
    if names != sorted(set(names)):
        yield f"{where}: dependencies must be in order, and once each, as vcpkg's formatter has them"


def check_port(root):
    manifest = json.loads(Path(root, PORT, "vcpkg.json").read_text(encoding="utf-8"))
    if unknown := manifest.keys() - FIELDS:
        yield f"vcpkg.json: vcpkg knows no {', '.join(sorted(unknown))}"
    yield from check_dependencies(manifest["dependencies"], "vcpkg.json")
    for name, feature in manifest["features"].items():
        if not IDENTIFIER.fullmatch(name) or feature.keys() != {"description", "dependencies"}:
            yield f"vcpkg.json: the feature {name} is not one of vcpkg's"
        yield from check_dependencies(feature.get("dependencies", []), f"vcpkg.json: {name}")
    if manifest["features"].keys() != COMPONENTS:
        yield "vcpkg.json: the features are not pgstate's components"


def check_options(root):
    """An option that a recipe sets and CMake does not know would do nothing, silently."""
    known = Path(root, "CMakeLists.txt").read_text(encoding="utf-8")
    adapters = {f"PGSTATE_BUILD_{name.upper()}" for name in COMPONENTS}
    for name in (f"{PORT}/portfile.cmake", f"{CONAN}/conanfile.py"):
        for option in sorted(set(re.findall(r"\bPGSTATE_[A-Z_]+[A-Z]\b", Path(root, name).read_text(encoding="utf-8")))):
            # PGSTATE_BUILD_CLI comes with the command line.
            if option not in adapters | {"PGSTATE_BUILD_CLI"} and not re.search(rf"\b{option}\b", known):
                yield f"{name}: CMakeLists.txt has no {option}"


def check_versions(root, version):
    places = {
        "include/pgstate/version.hpp": r"PGSTATE_VERSION_MAJOR (\d+)\n.*MINOR (\d+)\n.*PATCH (\d+)\n",
        f"{PORT}/vcpkg.json": r'"version-semver": "(.*)"',
        f"{CONAN}/conanfile.py": r'^    version = "(.*)"$',
        "docker/Dockerfile": r"^ARG VERSION=(.*)$",
        "CHANGELOG.md": r"^## \[(\d.*)\]",
    }
    for name, pattern in places.items():
        found = re.search(pattern, Path(root, name).read_text(encoding="utf-8"), re.M)
        if not found or ".".join(found.groups()) != version:
            yield f"{name} has the version {'.'.join(found.groups()) if found else 'nowhere'}, CMake {version}"


def check_python(root):
    for path in sorted(Path(root, CONAN).rglob("*.py")):
        try:
            ast.parse(path.read_text(encoding="utf-8"), str(path))
        except SyntaxError as error:
            yield str(error)


def check(root, version):
    yield from check_versions(root, version)
    yield from check_port(root)
    yield from check_options(root)
    yield from check_python(root)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wrong = list(check(*sys.argv[1:]))
    for each in wrong:
        print(f"recipes: {each}")
    sys.exit(1 if wrong else 0)
