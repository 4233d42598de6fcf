"""What does a TCP server pay for a message, in processor time?"""

from comparison import rounds, servers

# Connections, bytes of a message, messages under way on a connection.
CASES = {
    "1 connection, 64 B": (1, 64, 1),
    "64 connections, 64 B": (64, 64, 1),
    "1,000 connections, 64 B": (1000, 64, 1),
    "10,000 connections, 64 B": (10000, 64, 1),
    "64 connections, 16 KiB": (64, 16384, 1),
    "1,000 connections, 16 KiB": (1000, 16384, 1),
    "64 connections, 64 B, 16 in flight": (64, 64, 16),
}
# Those in which the best peer is not to be better.
BESIDE_PEERS = (
    "64 connections, 64 B",
    "1,000 connections, 64 B",
    "64 connections, 16 KiB",
    "1,000 connections, 16 KiB",
)


def ask(build, count, seconds):
    question = rounds.Question(
        "tcp_echo",
        "Processor time of the server for a message",
        "microseconds of processor time a message",
        list(CASES),
    )

    def measure(running, _, case, load_cpu):
        connections, size, in_flight = CASES[case]
        found = servers.load_for(
            seconds,
            running,
            build,
            "tcp_load",
            f"--connections={connections}",
            f"--size={size}",
            f"--in-flight={in_flight}",
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / found["messages"] / 1000

    return rounds.run(question, build, servers.TCP_ECHO, count, measure)
