"""What does a UDP server pay for a datagram: one at a time, and in bursts?"""

from comparison import rounds, servers

BURSTS = {"single datagrams of 64 B": 1, "bursts of 64 datagrams of 64 B": 64}


def ask(build, count, seconds):
    question = rounds.Question(
        "udp_echo",
        "Processor time of the server for a datagram",
        "microseconds of processor time a datagram",
        list(BURSTS),
    )

    def measure(running, _, case, load_cpu):
        found = servers.load_for(
            seconds,
            running,
            build,
            "udp_load",
            f"--burst={BURSTS[case]}",
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / found["answered"] / 1000

    return rounds.run(question, build, servers.UDP_ECHO, count, measure)
