"""What does a connection cost that comes, is served once, and goes?"""

from comparison import rounds, servers

CASE = "served one message of 64 B"


def ask(build, count, seconds, size=64, name="churn", case=CASE):
    question = rounds.Question(
        name,
        f"Processor time of the server for a connection that is {case}",
        "microseconds of processor time a connection",
        [case],
    )

    def measure(running, _, __, load_cpu):
        found = servers.load_for(
            seconds,
            running,
            build,
            "churn_load",
            f"--size={size}",
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / found["connections"] / 1000

    return rounds.run(question, build, servers.TCP_ECHO, count, measure)
