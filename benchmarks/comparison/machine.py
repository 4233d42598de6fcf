"""What it was measured on."""

import os
import platform
import subprocess

from . import servers


def _first(path, name):
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(name):
                    return line.split(":", 1)[-1].strip()
    except OSError:
        pass
    return "unknown"


def _read(path):
    try:
        with open(path, encoding="utf-8") as text:
            return text.read().strip()
    except OSError:
        return "unknown"


def _output(*command):
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# As pkg-config and dpkg call them; where neither knows one, it is not mentioned.
_LIBRARIES = {
    "libuv": ("libuv", "libuv1-dev"),
    "libevent": ("libevent", "libevent-dev"),
    "Asio": ("asio", "libasio-dev"),
    "liburing": ("liburing", "liburing-dev"),
    "Google Benchmark": ("benchmark", "libbenchmark-dev"),
}


def describe():
    found = {
        "processor": _first("/proc/cpuinfo", "model name"),
        "processors": len(os.sched_getaffinity(0)),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "congestion control": _read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "compiler": _output("c++", "--version").split("\n")[0],
        "load when it began": _read("/proc/loadavg").split(" ")[0],
        "Weir": _output("git", "-C", servers.ROOT, "describe", "--always", "--dirty"),
    }
    for name, (module, package) in _LIBRARIES.items():
        version = _output("pkg-config", "--modversion", module) or _output(
            "dpkg-query", "-W", "-f=${Version}", package
        )
        if version:
            found[name] = version
    return found
