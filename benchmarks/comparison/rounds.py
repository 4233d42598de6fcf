"""Rounds: every server is measured once in each, one after the other, so that
what the machine does meanwhile is shared among them."""

import math
import os
import statistics
import subprocess

from . import servers


def processors():
    """One for the server and another for the load; None where there is but one."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[-1]) if len(available) > 1 else (None, None)


def interval(values):
    """Between which the median that endless rounds would have lies, with a confidence
    of 93 % at least (of 5 rounds, the least and the most): order statistics, whatever
    the values are distributed like. None for what too few rounds cannot say."""
    ordered, count = sorted(values), len(values)
    cut, outside = -1, 0.0
    while outside + 2 * math.comb(count, cut + 1) / 2**count <= 0.07:
        cut += 1
        outside += 2 * math.comb(count, cut) / 2**count
    return None if cut < 0 else (ordered[cut], ordered[count - 1 - cut])


class Question:
    """The answers to one question: for each case and server a value a round."""

    def __init__(self, name, title, unit, cases):
        self.name = name
        self.title = title
        self.unit = unit
        self.cases = cases
        self.values = {}
        self.servers = {}

    def add(self, case, server, value):
        self.servers[server.name] = server
        self.values.setdefault((case, server.name), []).append(value)

    def median(self, case, name):
        values = self.values.get((case, name))
        return statistics.median(values) if values else None

    def ratios(self, case, name, names):
        """In each round, to that of `names` which has the least median: to whichever
        is least in that round, also one of several equals would be slow."""
        known = [other for other in names if (case, other) in self.values]
        if not known or (case, name) not in self.values:
            return []
        best = min(known, key=lambda other: self.median(case, other))
        pairs = zip(self.values[case, name], self.values[case, best])
        return [value / least for value, least in pairs if least > 0]

    def ratio(self, case, name, names):
        """The median of the ratios."""
        ratios = self.ratios(case, name, names)
        return statistics.median(ratios) if ratios else None

    @classmethod
    def from_json(cls, name, plain):
        rows = plain["rows"]
        cases = list(dict.fromkeys(row["case"] for row in rows))
        question = cls(name, plain["title"], plain["unit"], cases)
        for row in rows:
            server = servers.Server(row["server"], row["group"], row["mechanism"], ())
            for value in row["values"]:
                question.add(row["case"], server, value)
        return question

    def as_json(self):
        return {
            "title": self.title,
            "unit": self.unit,
            "rows": [
                {
                    "case": case,
                    "server": name,
                    "group": self.servers[name].group,
                    "mechanism": self.servers[name].mechanism,
                    "median": statistics.median(values),
                    "values": values,
                }
                for (case, name), values in self.values.items()
            ],
        }


def run(question, build, candidates, rounds, measure, *, together=False, spread=False):
    """Asks `measure(running, server, case, load_cpu)` for the value of every server
    and case, `rounds` times; with `together` once for all cases, for a dictionary.
    The order of the servers moves on by one each round. Server and load have a
    processor each; with `spread` both have all. A server that fails is left out
    from there on."""
    present = [server for server in candidates if server.available(build)]
    server_cpu, load_cpu = (None, None) if spread else processors()
    for number in range(rounds):
        servers.say(f"-- {question.name}: round {number + 1} of {rounds}")
        for case in [None] if together else question.cases:
            turn = number % max(len(present), 1)
            for server in present[turn:] + present[:turn]:
                try:
                    with servers.run(server, build, cpu=server_cpu) as running:
                        found = measure(running, server, case, load_cpu)
                except (servers.Failed, subprocess.TimeoutExpired) as failure:
                    servers.say(f"left out: {server.name}: {failure}")
                    present.remove(server)
                    continue
                for answered, value in (found if together else {case: found}).items():
                    question.add(answered, server, value)
    return question
