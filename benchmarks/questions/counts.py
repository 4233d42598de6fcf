"""What does a message need, and an idle connection hold, where it can be counted?"""

import shutil

from comparison import counting, servers

CONNECTIONS = (1, 64)


def ask(build):
    """A dictionary for every server: what cannot be counted is left out."""
    by_callgrind = shutil.which("valgrind") and shutil.which("vgdb")
    by_strace = shutil.which("strace")
    if not by_callgrind:
        servers.say("valgrind is not installed: instructions are left out")
    if not by_strace:
        servers.say("strace is not installed: system calls are left out")
    answers = []
    for server in servers.TCP_ECHO:
        if not server.available(build):
            continue
        servers.say(f"-- counts: {server.name}")
        row = {
            "server": server.name,
            "group": server.group,
            "mechanism": server.mechanism,
            "instructions": {},
            "allocations": {},
            "calls": {},
            "bytes": None,
        }
        answers.append(row)
        try:
            row["bytes"] = counting.bytes_per_idle_connection(server, build)
            for connections in CONNECTIONS:
                if by_strace:
                    row["calls"][connections] = counting.system_calls(
                        server, build, connections
                    )
                # valgrind does not know all of io_uring.
                if by_callgrind and server.mechanism != "io_uring":
                    found = counting.instructions(server, build, connections)
                    row["instructions"][connections] = found["instructions"]
                    row["allocations"][connections] = found["allocations"]
        except servers.Failed as failure:
            servers.say(f"{server.name}: {failure}")
    return answers
