"""What does a message cost where one loop is run by one thread and by two?"""

from dataclasses import replace

from comparison import rounds, servers

THREADS = (1, 2)


def _with_threads(server, threads):
    return replace(
        server,
        name=f"{server.name}, {threads} thread{'s' if threads > 1 else ''}",
        command=(*server.command, f"--threads={threads}"),
    )


def ask(build, count, seconds):
    case = "64 connections, 64 B"
    question = rounds.Question(
        "threads",
        "Processor time for a message, one loop run by one thread and by two",
        "microseconds of processor time a message",
        [case],
    )
    asked = [
        _with_threads(server, threads)
        for server in servers.TCP_ECHO
        if server.group == "weir"
        for threads in THREADS
    ]

    def measure(running, _, __, load_cpu):
        found = servers.load_for(
            seconds, running, build, "tcp_load", f"--pid={running.pid}", cpu=load_cpu
        )
        return found["server_cpu_ns"] / found["messages"] / 1000

    return rounds.run(question, build, asked, count, measure, spread=True)
