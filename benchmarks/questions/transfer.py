"""What does 1 GiB cost that is sent to a server and back?"""

from comparison import rounds, servers

PIECE = 1 << 20


def ask(build, count, seconds):
    # All of it, unless what is asked for is only a glance.
    pieces = 1024 if seconds >= 0.25 else 64
    case = f"{pieces} MiB on 1 connection"
    question = rounds.Question(
        "transfer",
        f"Processor time of the server for {pieces} MiB there and back",
        "milliseconds of processor time",
        [case],
    )

    def measure(running, _, __, load_cpu):
        found = servers.load(
            build,
            "tcp_load",
            f"--connect={running.address}",
            "--connections=1",
            f"--size={PIECE}",
            f"--messages={pieces}",
            "--in-flight=2",
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / 1e6

    return rounds.run(question, build, servers.TCP_ECHO, count, measure)
