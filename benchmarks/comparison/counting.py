"""Counts that do not depend on the machine's mood: instructions, allocations and
system calls for a message, bytes for an idle connection.

Each is the difference of two loads that differ in the number of messages alone,
so that starting, accepting and ending cancel out. Server and load share one
processor, and the server lets the load finish what it is at: every round of
messages is there before the server looks, and the counts are the same each time.
"""

import contextlib
import os
import re
import subprocess
import tempfile
import time

from . import servers

_ALLOCATORS = {
    "malloc",
    "calloc",
    "realloc",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
}


def _cpu():
    return max(os.sched_getaffinity(0))


# Two loads, one after the other on one server, send so many rounds of messages.
_FEW = 20
# By so many seconds after a load its server has nothing more to do.
_SETTLED = 0.5
_MORE_MESSAGES = 20_000


def _rounds(connections):
    return _FEW, _FEW + max(_MORE_MESSAGES // connections, 1)


def _send(running, build, connections, rounds, size):
    servers.load(
        build,
        "tcp_load",
        f"--connect={running.address}",
        "--way=lockstep",
        f"--connections={connections}",
        f"--size={size}",
        f"--messages={connections * rounds}",
        cpu=_cpu(),
    )


def _read_callgrind(path):
    """Instructions, and calls of allocators, that a dump of callgrind has."""
    names = {}
    instructions = calls = 0
    counted = False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
            if match:
                if match[2]:
                    names[match[1]] = match[2].strip()
                if line.startswith("c"):
                    counted = names.get(match[1]) in _ALLOCATORS
            elif line.startswith("calls=") and counted:
                calls += int(line[6:].split()[0])
            elif line.startswith("totals:"):
                instructions = int(line.split()[1])
    return instructions, calls


def _dump(pid, path):
    """Has callgrind write what it counted since the last time, and start anew."""
    done = subprocess.run(
        ["vgdb", f"--pid={pid}", "dump"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        # Complete once it has its totals, at the end.
        with contextlib.suppress(FileNotFoundError):
            found = _read_callgrind(path)
            if found[0] > 0:
                return found
        time.sleep(0.05)
    raise servers.Failed(f"callgrind dumps nothing: {done.stderr.strip()}")


def instructions(server, build, connections=64, size=64):
    """User-space instructions and allocations for a message."""
    rounds = _rounds(connections)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        prefix = (
            "valgrind",
            "--tool=callgrind",
            "-q",
            f"--callgrind-out-file={out}",
        )
        with servers.run(
            server, build, prefix=prefix, cpu=_cpu(), patient=True, killed=True
        ) as running:
            found = [_dump(running.pid, f"{out}.1")]
            for part, count in enumerate(rounds):
                _send(running, build, connections, count, size)
                # What the end of the connections costs belongs to their load.
                time.sleep(_SETTLED)
                found.append(_dump(running.pid, f"{out}.{part + 2}"))
    messages = connections * (rounds[1] - rounds[0])
    return {
        "instructions": (found[2][0] - found[1][0]) / messages,
        # Of what comes once for a connection, a few more or less.
        "allocations": round((found[2][1] - found[1][1]) / messages, 2) + 0.0,
    }


def _read_strace(path, patience=30):
    """The total of `strace -c`, which strace writes after the server's end."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                # % time, seconds, usecs/call, calls, errors if any, "total"
                words = line.split()
                if words and words[-1] == "total":
                    return int(words[3])
        time.sleep(0.05)
    raise servers.Failed("strace has counted nothing: may it trace here?")


def system_calls(server, build, connections=64, size=64):
    """System calls for a message, as strace(1) counts them."""
    rounds = _rounds(connections)
    totals = []
    for count in rounds:
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "strace.out")
            # -D: the server is the child that gets the signal, not strace.
            prefix = ("strace", "-D", "-f", "-c", "-o", out)
            with servers.run(
                server, build, prefix=prefix, cpu=_cpu(), patient=True
            ) as running:
                _send(running, build, connections, count, size)
            totals.append(_read_strace(out))
    return (totals[1] - totals[0]) / (connections * (rounds[1] - rounds[0]))


def bytes_per_idle_connection(server, build, connections=(1000, 9000)):
    """What the server's own memory grows by, for a connection that is silent."""
    held = []
    for count in connections:
        with servers.run(server, build) as running:
            result = servers.load(
                build,
                "tcp_load",
                f"--connect={running.address}",
                "--way=idle",
                f"--connections={count}",
                f"--pid={running.pid}",
            )
        held.append(result["server_bytes_after"])
    return (held[1] - held[0]) / (connections[1] - connections[0])
