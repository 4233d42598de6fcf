"""The goals, and how near the answers come to them."""

import statistics
from dataclasses import dataclass

from comparison import rounds, servers
from questions import tcp_echo

_EPOLL_RAW = ("raw epoll level", "raw epoll edge")
_RAW = {"epoll": _EPOLL_RAW, "io_uring": ("raw io_uring",)}
_PEERS = tuple(server.name for server in servers.TCP_ECHO if server.group == "peer")


@dataclass(frozen=True)
class Goal:
    text: str
    limit: float
    value: object  # a number, or None if it was not asked
    # Of what there is to be at least so much.
    least: bool = False
    # Of what differs from round to round: `value` is the median of these.
    values: tuple = ()

    def reached(self):
        if self.value is None:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit

    def interval(self):
        """Of the median; None of what was counted, or of too few rounds."""
        return rounds.interval(self.values) if self.values else None

    def is_undecided(self):
        """Whether other rounds may well say otherwise."""
        found = self.interval()
        return found is not None and found[0] <= self.limit <= found[1]


def _of_rounds(text, limit, values, least=False):
    values = [value for value in values if value is not None]
    value = statistics.median(values) if values else None
    return Goal(text, limit, value, least, tuple(values))


def _counted(counts, server, what, connections=64):
    for row in counts or ():
        if row["server"] == server:
            found = row[what]
            return found.get(connections) if isinstance(found, dict) else found
    return None


def _least(values):
    known = [value for value in values if value is not None]
    return min(known) if known else None


def _times(above, below):
    return above / below if above is not None and below else None


def _of_counts(counts):
    api = "weir {}, epoll".format
    raw = _least(_counted(counts, name, "instructions") for name in _EPOLL_RAW)
    readiness = _times(_counted(counts, api("readiness"), "instructions"), raw)
    goals = [
        Goal("instructions a message, readiness on epoll ÷ raw", 1.5, readiness),
        *(
            Goal(
                f"instructions a message, {name} on epoll",
                most,
                _counted(counts, api(name), "instructions"),
            )
            for name, most in (("stream", 200), ("completion", 350), ("awaitable", 500))
        ),
        *(
            Goal(
                f"allocations a message, {name} on epoll",
                0.005,
                _counted(counts, api(name), "allocations"),
            )
            for name in ("readiness", "stream", "completion", "awaitable")
        ),
        *(
            Goal(
                f"bytes for an idle connection, stream on {mechanism}",
                200,
                _counted(counts, f"weir stream, {mechanism}", "bytes"),
            )
            for mechanism in _RAW
        ),
    ]
    for mechanism, names in _RAW.items():
        raw = _least(_counted(counts, name, "calls") for name in names)
        own = _counted(counts, f"weir stream, {mechanism}", "calls")
        goals.append(
            Goal(
                f"system calls a message, stream on {mechanism} ÷ raw",
                1.02,
                _times(own, raw),
            )
        )
    return goals


def _of_processor_time(echo, accept_rate, udp, growth):
    goals = []
    if echo:
        for mechanism, names in _RAW.items():
            goals += [
                _of_rounds(
                    f"processor time a message, stream on {mechanism} ÷ best raw: {case}",
                    1.05,
                    echo.ratios(case, f"weir stream, {mechanism}", names),
                )
                for case in echo.cases
            ]
            goals += [
                _of_rounds(
                    f"processor time a message, stream on {mechanism} ÷ best peer: {case}",
                    1,
                    echo.ratios(case, f"weir stream, {mechanism}", _PEERS),
                )
                for case in tcp_echo.BESIDE_PEERS
            ]
    if accept_rate:
        for mechanism, names in _RAW.items():
            goals += [
                _of_rounds(
                    f"a connection accepted and closed, {case}, stream on {mechanism} "
                    "÷ best raw",
                    1,
                    accept_rate.ratios(case, f"weir stream, {mechanism}", names),
                )
                for case in accept_rate.cases
            ]
    if udp:
        for mechanism in _RAW:
            own = f"weir completion, {mechanism}"
            goals += [
                _of_rounds(
                    f"datagrams a second of processor time, {case}, {mechanism} ÷ libuv",
                    3,
                    udp.ratios(case, "libuv", [own]),
                    least=True,
                )
                for case in udp.cases
                if "bursts" in case
            ]
    if growth:
        last, first = growth.cases[-1], 64
        for mechanism, names in _RAW.items():

            def grown(name):
                both = (growth.values.get((case, name), ()) for case in (last, first))
                return [_times(*pair) or 0 for pair in zip(*both)]

            raw = min(filter(None, map(grown, names)), key=statistics.median, default=())
            own = grown(f"weir stream, {mechanism}")
            goals.append(
                _of_rounds(
                    f"growth of the cost of a message, 64 to {last:,} connections, "
                    f"stream on {mechanism} ÷ raw",
                    1.05,
                    [_times(*pair) for pair in zip(own, raw)],
                )
            )
    return goals


def _of_timers(rows):
    values = {row["name"]: row["values"] for row in rows or ()}
    many = values.get("SetAndCancel/1000000", ())
    few = values.get("SetAndCancel/1000", ())
    return [
        _of_rounds("ns to set and cancel a timer, 1,000,000 pending", 100, many),
        _of_rounds(
            "the same ÷ with 1,000 pending", 1.5, [_times(*pair) for pair in zip(many, few)]
        ),
    ]


def compute(counts, questions, in_process):
    """`questions` by name."""
    return [
        *_of_counts(counts),
        *_of_processor_time(
            *(questions.get(name) for name in ("tcp_echo", "accept_rate", "udp_echo", "growth"))
        ),
        *_of_timers((in_process or {}).get("timers")),
    ]
