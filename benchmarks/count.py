#!/usr/bin/env python3
"""Counts what each echo server needs for a message and for an idle connection,
and prints a table. Needs a build, valgrind and strace.

  benchmarks/count.py [--build=build/release] [--only=TEXT] [--connections=1,64]
"""

import argparse
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import counting, servers  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(servers.ROOT, "build/release"))
    parser.add_argument("--only", default="", help="servers whose name has this")
    parser.add_argument("--connections", default="1,64")
    parser.add_argument(
        "--what",
        default="instructions,calls,bytes",
        help="a list of instructions, calls and bytes",
    )
    options = parser.parse_args()
    what = options.what.split(",")
    for tool, needed in (("valgrind", "instructions"), ("strace", "calls")):
        if needed in what and shutil.which(tool) is None:
            servers.say(f"{tool} is not installed: {needed} are left out")
            what.remove(needed)
    counts = [int(text) for text in options.connections.split(",")]
    print(f"{'server':<26}{'connections':>12}{'instructions':>14}{'allocations':>13}"
          f"{'calls':>8}{'bytes/idle':>12}")
    for server in servers.TCP_ECHO:
        if options.only not in server.name or not server.available(options.build):
            continue
        for connections in counts:
            row = f"{server.name:<26}{connections:>12}"
            try:
                if "instructions" in what:
                    found = counting.instructions(server, options.build, connections)
                    row += f"{found['instructions']:>14.1f}{found['allocations']:>13.2f}"
                else:
                    row += " " * 27
                if "calls" in what:
                    calls = counting.system_calls(server, options.build, connections)
                    row += f"{calls:>8.3f}"
                else:
                    row += " " * 8
                if "bytes" in what and connections == counts[-1]:
                    held = counting.bytes_per_idle_connection(server, options.build)
                    row += f"{held:>12.0f}"
            except servers.Failed as failure:
                row += f"  {failure}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
