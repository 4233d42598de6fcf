#!/usr/bin/env python3
"""Fails if a message or an idle connection needs more than expected_counts.json says,
by more than a margin; what needs less is only mentioned. Times are not looked at.
Exits with 77, which CTest takes for skipped, where it cannot be counted.

Of one connection with one message under way: each is a turn of the loop of its own,
whatever else the machine does. More messages in a turn cost less each.

  benchmarks/check_counts.py [--build=build/release] [--update]
"""

import argparse
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import counting, servers  # noqa: E402

_EXPECTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected_counts.json")
# By the part of what is expected, and by so much: compilers and C libraries differ.
_MARGINS = {
    "instructions": (0.15, 10),
    "allocations": (0, 0.05),
    "calls": (0.05, 0.05),
    "bytes": (0.1, 16),
}


def _count(server, build, wanted):
    found = {}
    # valgrind does not know all of io_uring.
    if "instructions" in wanted:
        found = counting.instructions(server, build, connections=1)
    found["calls"] = counting.system_calls(server, build, connections=1)
    found["bytes"] = counting.bytes_per_idle_connection(server, build)
    return {what: round(value, 2) + 0.0 for what, value in found.items()}


def _most(what, expected):
    part, more = _MARGINS[what]
    return expected * (1 + part) + more


# Who else uses the processor can only add to what is counted.
_TRIES = 3


def _count_well(server, build, expected):
    found = _count(server, build, expected)
    for _ in range(_TRIES - 1):
        if all(found[what] <= _most(what, value) for what, value in expected.items()):
            break
        again = _count(server, build, expected)
        found = {what: min(value, again[what]) for what, value in found.items()}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(servers.ROOT, "build/release"))
    parser.add_argument("--update", action="store_true", help="expect what there is")
    options = parser.parse_args()
    for tool in ("valgrind", "vgdb", "strace"):
        if shutil.which(tool) is None:
            servers.say(f"{tool} is not installed")
            return 77
    by_name = {server.name: server for server in servers.TCP_ECHO}
    with open(_EXPECTED, encoding="utf-8") as text:
        expected = json.load(text)
    failed = False
    for name, counts in expected.items():
        try:
            found = _count_well(by_name[name], options.build, counts)
        except servers.Failed as failure:
            servers.say(f"cannot be counted here: {failure}")
            return 77
        for what, usual in counts.items():
            verdict = "ok"
            if found[what] > _most(what, usual):
                verdict, failed = "MORE THAN EXPECTED", True
            elif usual > _most(what, found[what]):
                verdict = "less; --update notes it"
            print(f"{name}: {what}: {found[what]}, expected {usual}: {verdict}")
        expected[name] = found
    if options.update:
        with open(_EXPECTED, "w", encoding="utf-8") as out:
            json.dump(expected, out, indent=1)
            out.write("\n")
        return 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
