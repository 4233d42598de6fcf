"""What does a connection cost that comes, is served once, and goes?"""

from comparison import rounds, servers

# Of the server, and by the clock.
PROCESSOR_TIME = "processor time"
TIME = "time from one to the next"


def ask(build, count, seconds):
    return ask_of(build, count, seconds, 64, "churn", "served one message of 64 B")


def ask_of(build, count, seconds, size, name, what):
    question = rounds.Question(
        name,
        f"A connection that is {what}: processor time of the server, and how soon there "
        "is the next",
        "microseconds a connection",
        [PROCESSOR_TIME, TIME],
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
        return {
            PROCESSOR_TIME: found["server_cpu_ns"] / found["connections"] / 1000,
            TIME: found["seconds"] / found["connections"] * 1e6,
        }

    return rounds.run(question, build, servers.TCP_ECHO, count, measure, together=True)
