"""How does the cost of a message grow with the number of connections?"""

from comparison import rounds, servers

CONNECTIONS = (1, 8, 64, 512, 2048, 10000)


def ask(build, count, seconds):
    question = rounds.Question(
        "growth",
        "Processor time for a message of 64 B, by the number of connections",
        "microseconds of processor time a message",
        list(CONNECTIONS),
    )

    def measure(running, _, connections, load_cpu):
        found = servers.load_for(
            seconds,
            running,
            build,
            "tcp_load",
            f"--connections={connections}",
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / found["messages"] / 1000

    asked = [
        server
        for server in servers.TCP_ECHO
        if server.group == "raw" or "stream" in server.name or server.name == "libuv"
    ]
    return rounds.run(question, build, asked, count, measure)
