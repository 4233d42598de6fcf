"""The servers that are compared, and how one is run for a measurement."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclass(frozen=True)
class Server:
    """One way to serve. `group` is raw, peer or weir; `mechanism` what it asks
    the kernel with, which a raw loop shares."""

    name: str
    group: str
    mechanism: str
    command: tuple

    def path(self, build):
        return os.path.join(build, self.command[0])

    def available(self, build):
        return os.path.exists(self.path(build))


def _weir(api, backend):
    return Server(
        f"weir {api}, {backend}",
        "weir",
        backend,
        ("examples/echo_server", f"--backend={backend}", f"--api={api}"),
    )


WEIR_APIS = ("readiness", "stream", "completion", "awaitable")

TCP_ECHO = (
    Server("raw epoll level", "raw", "epoll", ("benchmarks/raw_epoll_level",)),
    Server("raw epoll edge", "raw", "epoll", ("benchmarks/raw_epoll_edge",)),
    *(_weir(api, "epoll") for api in WEIR_APIS),
    Server("libuv", "peer", "epoll", ("benchmarks/peer_libuv",)),
    Server("Asio callbacks", "peer", "epoll", ("benchmarks/peer_asio_callbacks",)),
    Server("Asio coroutines", "peer", "epoll", ("benchmarks/peer_asio_coroutines",)),
    Server("libevent", "peer", "epoll", ("benchmarks/peer_libevent",)),
    Server("raw io_uring", "raw", "io_uring", ("benchmarks/raw_io_uring",)),
    *(_weir(api, "io_uring") for api in WEIR_APIS),
)

UDP_ECHO = (
    Server("raw recvmmsg", "raw", "epoll", ("benchmarks/raw_udp",)),
    *(
        Server(
            f"weir {api}, {backend}",
            "weir",
            backend,
            ("examples/udp_echo_server", f"--backend={backend}", f"--api={api}"),
        )
        for backend in ("epoll", "io_uring")
        for api in ("readiness", "completion")
    ),
    Server("libuv", "peer", "epoll", ("benchmarks/peer_libuv_udp",)),
)


class Failed(Exception):
    """A program of the comparison did not do what it is there for."""


def _prepare(cpu, patient):
    """For the child: where it runs. A `patient` one that is woken waits until
    whoever has the processor has nothing more to do."""

    def apply():
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if patient:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    return apply


class Running:
    """A server that listens."""

    def __init__(self, process, address):
        self.process = process
        self.pid = process.pid
        self.address = address


@contextlib.contextmanager
def run(server, build, *, prefix=(), cpu=None, patient=False, killed=False):
    """Runs `server`, behind the words of `prefix`, until the block is left. It is
    asked to end and has to exit with 0, unless it is to be `killed`: valgrind
    delivers no other signal inside io_uring_enter."""
    command = [*prefix, server.path(build), *server.command[1:]]
    patience = 60
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=_prepare(cpu, patient),
        )
        try:
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                process.wait(patience)
                errors.seek(0)
                raise Failed(f"{server.name}: {errors.read().strip()}")
            yield Running(process, line.removeprefix("listening on ").strip())
            if killed:
                return
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            if process.returncode != 0:
                errors.seek(0)
                raise Failed(
                    f"{server.name}: exit status {process.returncode} "
                    f"{errors.read().strip()}"
                )
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()


def load(build, program, *arguments, cpu=None, timeout=600):
    """The line of JSON that a generator of load prints."""
    import json

    done = subprocess.run(
        [os.path.join(build, "benchmarks", program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_prepare(cpu, False),
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{program}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def load_for(seconds, running, build, program, *arguments, cpu):
    """What `program` says that loads the server for so long, after a warm-up."""
    return load(
        build,
        program,
        f"--connect={running.address}",
        f"--warm-up={seconds / 4}",
        f"--seconds={seconds}",
        *arguments,
        cpu=cpu,
    )


def say(text):
    print(text, file=sys.stderr, flush=True)
