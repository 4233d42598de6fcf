"""How long does a message take at half load?"""

from comparison import rounds, servers

PERCENTILES = ("p50", "p90", "p99", "p99.9")


def ask(build, count, seconds):
    question = rounds.Question(
        "latency",
        "From when a message of 64 B is due to its answer, 64 connections, at half "
        "of what the raw level-triggered loop can do",
        "microseconds",
        list(PERCENTILES),
    )
    rate = _half_load(build, seconds)
    question.title += f" ({rate:,.0f} messages a second)"

    def measure(running, _, __, load_cpu):
        found = servers.load_for(
            seconds,
            running,
            build,
            "tcp_load",
            "--way=open",
            f"--rate={rate}",
            cpu=load_cpu,
        )
        return {name: found["latency_ns"][name] / 1000 for name in PERCENTILES}

    return rounds.run(
        question, build, servers.TCP_ECHO, count, measure, together=True
    )


def _half_load(build, seconds):
    server_cpu, load_cpu = rounds.processors()
    with servers.run(servers.TCP_ECHO[0], build, cpu=server_cpu) as running:
        found = servers.load_for(
            seconds, running, build, "tcp_load", cpu=load_cpu
        )
    return found["messages"] / found["seconds"] / 2
