"""The page: what was asked, what the answers are, and how they were found."""

import os
import statistics

from . import svg


def _value(number):
    if number is None:
        return ""
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number < 10 else f"{number:.1f}"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _raw_of(question, mechanism):
    """The raw loops to compare with: of the mechanism, if there are any."""
    raw = [name for name, server in question.servers.items() if server.group == "raw"]
    own = [name for name in raw if question.servers[name].mechanism == mechanism]
    return own or raw


def _plot(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        out.write(text)
    return f"![{name}]({name})"


def question_section(question, folder):
    """One question: a plot for each case and a table of all."""
    parts = [f"## {question.title}", ""]
    names = list(question.servers)
    for number, case in enumerate(question.cases):
        rows = []
        for name in names:
            values = question.values.get((case, name))
            if values:
                rows.append(
                    (
                        name,
                        question.servers[name].group,
                        statistics.median(values),
                        min(values),
                        max(values),
                    )
                )
        rows.sort(key=lambda row: row[2])
        parts.append(
            _plot(
                folder,
                f"{question.name}-{number + 1}.svg",
                svg.bars(str(case), question.unit, rows),
            )
        )
    header = ["server"]
    for case in question.cases:
        header += [str(case), "to raw"]
    table = []
    for name in names:
        raw = _raw_of(question, question.servers[name].mechanism)
        row = [name]
        for case in question.cases:
            ratio = question.ratio(case, name, raw)
            row += [
                _value(question.median(case, name)),
                f"{ratio:.2f}" if ratio else "",
            ]
        table.append(row)
    parts += ["", _table(header, table), ""]
    return "\n".join(parts)


def growth_section(question, folder):
    """The same as a curve for each server."""
    series = {}
    for name in question.servers:
        points = [(case, question.median(case, name)) for case in question.cases]
        # One that was left out on the way is no curve.
        if all(y is not None for _, y in points):
            series[name] = points
    if not series:
        return ""
    plot = _plot(
        folder,
        f"{question.name}.svg",
        svg.curves(question.title, "connections", question.unit, series),
    )
    at_64 = question.cases.index(64)
    rows = [
        [name, *(_value(y) for _, y in points), f"{points[-1][1] / points[at_64][1]:.2f}"]
        for name, points in series.items()
    ]
    header = [
        "server",
        *(f"{case:,}" for case in question.cases),
        f"{question.cases[-1]:,} ÷ 64",
    ]
    return "\n".join([f"## {question.title}", "", plot, "", _table(header, rows), ""])


def counts_section(counts, folder):
    rows = [
        (row["server"], row["group"], *[row["instructions"][64]] * 3)
        for row in counts
        if row["instructions"].get(64)
    ]
    rows.sort(key=lambda row: row[2])
    plot = _plot(
        folder,
        "instructions.svg",
        svg.bars(
            "User-space instructions for a message of 64 B, 64 connections",
            "instructions a message",
            rows,
        ),
    )
    table = [
        [
            row["server"],
            _value(row["instructions"].get(1)),
            _value(row["instructions"].get(64)),
            f"{row['allocations'][64]:.2f}" if 64 in row["allocations"] else "",
            _value(row["calls"].get(1)),
            _value(row["calls"].get(64)),
            _value(row["bytes"]),
        ]
        for row in counts
    ]
    header = [
        "server",
        "instructions, 1 connection",
        "64 connections",
        "allocations",
        "system calls, 1 connection",
        "64 connections",
        "bytes for an idle connection",
    ]
    return "\n".join(
        ["## What a message needs, counted", "", plot, "", _table(header, table), ""]
    )


def in_process_section(found):
    """`found`: what Google Benchmark says, by program."""
    parts = ["## Inside one process", ""]
    for program, results in found.items():
        table = [
            [
                row["name"],
                row["label"],
                _value(statistics.median(row["values"])),
                f"{_value(min(row['values']))} – {_value(max(row['values']))}",
                row["unit"],
            ]
            for row in results
        ]
        parts += [
            f"### {program.replace('_', ' ')}",
            "",
            _table(["", "backend", "median", "range", "unit"], table),
            "",
        ]
    return "\n".join(parts)


def goals_section(found):
    rows = []
    for goal in found:
        reached = {True: "yes", False: "**no**", None: "not asked"}[goal.reached()]
        if goal.is_undecided():
            reached = "undecided"
        interval = goal.interval()
        rows.append(
            [
                goal.text,
                f"{'≥' if goal.least else '≤'} {goal.limit:g}",
                _value(goal.value),
                " – ".join(map(_value, interval)) if interval else "",
                reached,
            ]
        )
    header = ["", "goal", "found", "interval", "reached"]
    return "\n".join(["## Goals", "", _INTERVAL, _table(header, rows), ""])


def _machine_section(machine):
    return _table(["", ""], [[name, str(value)] for name, value in machine.items()])


_INTERVAL = """\
"interval": between which the median of endless rounds on this machine lies, with a
confidence of 93 % at least. "undecided": the goal lies in there, so that the next run
may well say the opposite of what is found. benchmarks/README.md says what stands in
the way of those that are not reached.
"""

_METHOD = """\
Every server runs on a processor of its own, the load on another. In each round every
server is asked once, one after the other, in an order that moves on; a bar is the
median of {rounds} rounds, its line their range. "to raw" is the median, over the
rounds, of the ratio in that round to the raw loop of the same mechanism that has the
least median, or, of UDP, to the raw loop there is.
Processor time is the server's, user space and kernel, as the system accounts for it.
What is counted does not depend on the machine's mood; times on loopback do, and
differences of less than some 10 % between them say nothing.
"""


def write(folder, answers):
    """README.md and its plots, from what compare.py has found."""
    parts = [
        "# How Weir compares",
        "",
        _machine_section(answers["machine"]),
        "",
        _METHOD.format(rounds=answers["rounds"]),
    ]
    if answers["left_out"]:
        parts += [f"Not there, and left out: {', '.join(answers['left_out'])}.", ""]
    parts.append(goals_section(answers["goals"]))
    if answers["counts"]:
        parts.append(counts_section(answers["counts"], folder))
    for name, question in answers["questions"].items():
        section = growth_section if name == "growth" else question_section
        parts.append(section(question, folder))
    if answers["in_process"]:
        parts.append(in_process_section(answers["in_process"]))
    with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as out:
        out.write("\n".join(parts))
