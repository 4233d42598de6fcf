"""What does a UDP server pay for a datagram: one at a time, and in bursts, whose sender
gives them to its system one by one or, as UDP_SEGMENT has it, together?"""

from comparison import rounds, servers

SINGLE = "single datagrams of 64 B"
BURSTS = "bursts of 64 datagrams of 64 B"
JOINED = "such bursts, joined by the sender"
_LOADS = {
    SINGLE: ("--burst=1",),
    BURSTS: ("--burst=64",),
    JOINED: ("--burst=64", "--joined=1"),
}


def ask(build, count, seconds):
    question = rounds.Question(
        "udp_echo",
        "Processor time of the server for a datagram",
        "microseconds of processor time a datagram",
        list(_LOADS),
    )

    def measure(running, _, case, load_cpu):
        found = servers.load_for(
            seconds,
            running,
            build,
            "udp_load",
            *_LOADS[case],
            f"--pid={running.pid}",
            cpu=load_cpu,
        )
        return found["server_cpu_ns"] / found["answered"] / 1000

    return rounds.run(question, build, servers.UDP_ECHO, count, measure)
