#!/usr/bin/env python3
"""Compares Weir with the loops that one would write by hand and with what else one
could take, and writes a page of the answers: benchmarks/README.md says how.

  benchmarks/compare.py [--build=build/release] [--out=build/comparison]
      [--rounds=9] [--seconds=0.25] [--only=NAME,...] [--quick]
  benchmarks/compare.py --page=FOLDER
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import goals, machine, page, rounds, servers  # noqa: E402
from questions import (  # noqa: E402
    accept_rate,
    churn,
    counts,
    growth,
    in_process,
    latency,
    tcp_echo,
    threads,
    transfer,
    udp_echo,
)

# Of rounds, in the order of the page.
_QUESTIONS = {
    "tcp_echo": tcp_echo,
    "growth": growth,
    "latency": latency,
    "udp_echo": udp_echo,
    "accept_rate": accept_rate,
    "churn": churn,
    "transfer": transfer,
    "threads": threads,
}
_NAMES = ("counts", *_QUESTIONS, "in_process")


def _parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(servers.ROOT, "build/release"))
    parser.add_argument("--out", default=os.path.join(servers.ROOT, "build/comparison"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.25, help="of one measurement")
    parser.add_argument("--only", default="", help=f"a list of {', '.join(_NAMES)}")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 0.1 s: that all works"
    )
    parser.add_argument(
        "--page",
        metavar="FOLDER",
        help="ask nothing: write the page anew of the results.json there",
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 0.1
    options.only = options.only.split(",") if options.only else _NAMES
    for name in options.only:
        if name not in _NAMES:
            parser.error(f"--only: {name} is not one of {', '.join(_NAMES)}")
    return options


def _write_json(answers, path):
    plain = {
        **answers,
        "questions": {
            name: question.as_json() for name, question in answers["questions"].items()
        },
        "goals": [
            {
                **asdict(goal),
                "interval": goal.interval(),
                "reached": None if goal.is_undecided() else goal.reached(),
            }
            for goal in answers["goals"]
        ],
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(plain, out, indent=1, ensure_ascii=False)
        out.write("\n")


def _write(answers, folder):
    answers["goals"] = goals.compute(
        answers["counts"], answers["questions"], answers["in_process"]
    )
    _write_json(answers, os.path.join(folder, "results.json"))
    page.write(folder, answers)


def _read(folder):
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as found:
        answers = json.load(found)
    answers["questions"] = {
        name: rounds.Question.from_json(name, plain)
        for name, plain in answers["questions"].items()
    }
    for row in answers["counts"] or ():
        for what, found in row.items():
            # JSON has texts for keys.
            if isinstance(found, dict):
                row[what] = {int(count): value for count, value in found.items()}
    return answers


def _ask(name, options, answers):
    if name == "counts":
        answers["counts"] = counts.ask(options.build)
    elif name == "in_process":
        answers["in_process"] = in_process.ask(
            options.build, options.rounds, options.seconds
        )
    else:
        answers["questions"][name] = _QUESTIONS[name].ask(
            options.build, options.rounds, options.seconds
        )


def main():
    options = _parse()
    if options.page:
        try:
            _write(_read(options.page), options.page)
        except (OSError, ValueError, KeyError) as failure:
            servers.say(f"no results that a page could be made of: {failure}")
            return 1
        return 0
    left_out = [
        server.name
        for server in (*servers.TCP_ECHO, *servers.UDP_ECHO)
        if not server.available(options.build)
    ]
    for name in left_out:
        servers.say(f"{name} was not built, and is left out")
    answers = {
        "machine": machine.describe(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "left_out": left_out,
        "counts": None,
        "questions": {},
        "in_process": None,
    }
    os.makedirs(options.out, exist_ok=True)
    began = time.monotonic()
    failed = False
    for name in options.only:
        try:
            _ask(name, options, answers)
        except servers.Failed as failure:
            servers.say(f"{name} is not answered: {failure}")
            failed = True
        # What there is by now is not lost with what comes.
        _write(answers, options.out)
        servers.say(f"-- {name} answered, {time.monotonic() - began:.0f} s in all")
    servers.say(f"{os.path.join(options.out, 'README.md')}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
