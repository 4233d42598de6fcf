"""What runs inside one process: posts and wake-ups, registrations and batches of
changes, timers, queued writes, files that are sent. Asked of Google Benchmark."""

import json
import os
import subprocess

from comparison import servers

PROGRAMS = ("posts", "registrations", "timers", "queued_writes", "send_file")


def ask(build, count, seconds):
    """The rows of each program that is there."""
    return {
        program: _run(os.path.join(build, "benchmarks", program), count, seconds)
        for program in PROGRAMS
        if os.path.exists(os.path.join(build, "benchmarks", program))
    }


def _run(path, count, seconds):
    servers.say(f"-- {os.path.basename(path)}: {count} rounds")
    done = subprocess.run(
        [
            path,
            "--benchmark_format=json",
            f"--benchmark_repetitions={count}",
            # Their order changes from round to round.
            "--benchmark_enable_random_interleaving=true",
            f"--benchmark_min_time={seconds / 8}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode != 0:
        raise servers.Failed(f"{path}: {done.stderr.strip()}")
    rows = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        name = run["run_name"]
        real = name.endswith("/real_time")
        row = rows.setdefault(
            name, {"name": name, "label": run.get("label", ""), "values": []}
        )
        if "bytes" in run:
            row["unit"] = "bytes"
            row["values"].append(run["bytes"])
        else:
            row["unit"] = run["time_unit"]
            row["values"].append(run["real_time" if real else "cpu_time"])
    return list(rows.values())
