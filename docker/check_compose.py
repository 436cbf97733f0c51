#!/usr/bin/env python3
"""Checks compose.yaml against what is meant: check_compose.py [DOCKER_DIR]

Each variable that compose.yaml uses stands in .env.example, with the same default, and the other way round. Each service
starts again, has a health check, of its own or of the image that is built here, and opens ports to this machine alone;
who waits for another waits until that is healthy. What is built here can write to nothing and has no capabilities, and
Prometheus scrapes it at the port that the image has. Prints what is wrong, and fails if something is.
"""

import re
import sys
from pathlib import Path

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
KEY = re.compile(r"^( *)([\w.-]+):(?: |$)")


def uncommented(text):
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def services_of(compose):
    """Each service's lines by its name."""
    services = {}
    top = name = None
    for line in uncommented(compose).splitlines():
        key = KEY.match(line)
        if key and not key[1]:
            top = key[2]
        elif key and top == "services" and len(key[1]) == 2:
            name = key[2]
            services[name] = []
        elif top == "services" and name:
            services[name].append(line)
    return services


def section_of(lines, key):
    """What stands at and under `key` of a service, as one text; empty if it is not there."""
    found = []
    for line in lines:
        start = KEY.match(line)
        if start and len(start[1]) == 4:
            inside = start[2] == key
        elif not found:
            inside = False
        if inside:
            found.append(line.strip())
        elif found:
            break
    return "\n".join(found)


def check_variables(compose, example):
    used = {}
    for name, kind, value in VARIABLE.findall(uncommented(compose)):
        if not kind:
            yield f"{name} has neither a default nor an error that asks for it"
        default = value if kind == "-" else ""
        if used.setdefault(name, default) != default:
            yield f"{name} has two defaults: {used[name]!r} and {default!r}"
    named = dict(re.findall(r"^#?(\w+)=(.*)$", example, re.M))
    for name in sorted(used.keys() | named.keys()):
        if name not in named:
            yield f"{name} is not in .env.example"
        elif name not in used:
            yield f"{name} of .env.example is not used in compose.yaml"
        elif used[name] != named[name]:
            yield f"the default of {name} is {used[name]!r} in compose.yaml, {named[name]!r} in .env.example"


def check_service(name, lines, dockerfile, services):
    built = section_of(lines, "build")
    if section_of(lines, "restart") != "restart: unless-stopped":
        yield f"{name} does not start again"
    if not section_of(lines, "healthcheck") and not (built and re.search(r"^HEALTHCHECK ", dockerfile, re.M)):
        yield f"{name} has no health check"
    image = section_of(lines, "image")
    if not built and not re.search(r":[\w.-]+$", image):
        yield f"{name}'s image has no version"
    for port in re.findall(r"^- (.*)$", section_of(lines, "ports"), re.M):
        if not re.fullmatch(r'"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+"', port):
            yield f"{name} opens {port}, which is not a port of this machine alone that .env can set"
    waits = section_of(lines, "depends_on")
    for other in re.findall(r"^- (\w+)$", waits, re.M):
        yield f"{name} does not wait until {other} is healthy"
    for other in re.findall(r"^(\w+):$", waits, re.M):
        if other != "depends_on" and other not in services:
            yield f"{name} waits for {other}, which is no service"
    if built:
        if not re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.M):
            yield "the image's user is not given by number, or is root"
        for key, value in (("read_only", "true"), ("cap_drop", "[ALL]"),
                           ("security_opt", '["no-new-privileges:true"]')):
            if section_of(lines, key) != f"{key}: {value}":
                yield f"{name} lacks {key}: {value}"


def check_scraped(services, dockerfile, targets):
    exposed = re.search(r"^EXPOSE (\d+)$", dockerfile, re.M)
    for name, lines in services.items():
        if section_of(lines, "build") and not (exposed and f"- {name}:{exposed[1]}" in uncommented(targets)):
            yield f"Prometheus does not scrape {name} at the port that the image exposes"


def check(folder):
    def read(name):
        return Path(folder, name).read_text(encoding="utf-8")

    compose, dockerfile = read("compose.yaml"), read("Dockerfile")
    services = services_of(compose)
    yield from check_variables(compose, read(".env.example"))
    if not services:
        yield "compose.yaml has no services, or is written in a way that this does not understand"
    for name, lines in services.items():
        yield from check_service(name, lines, dockerfile, services)
    yield from check_scraped(services, dockerfile, read("prometheus/targets.yml"))


if __name__ == "__main__":
    wrong = list(check(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent))
    for each in wrong:
        print(f"compose: {each}")
    sys.exit(1 if wrong else 0)
