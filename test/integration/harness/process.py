"""Processes, folders and ports of one test: all of them are gone when the test is, however it ends."""

import ctypes
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any, Optional

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    """The first true value of `condition`; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, what))
        time.sleep(0.01)


def read_lines(path: str) -> list[str]:
    """The whole lines of a file, without their ends; none while there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def wait_lines(path: str, count: int, beginning: str = "", pattern: str = "") -> list[str]:
    """All lines of a file with this beginning, in which the pattern is found, as soon as there are so many."""
    def lines() -> list[str]:
        found = [line for line in read_lines(path) if line.startswith(beginning) and re.search(pattern, line)]
        return found if len(found) >= count else []

    found: list[str] = wait_until(lines, "%d lines with %r and %r in %s" % (count, beginning, pattern, path), 15)
    return found


def wait_line(path: str, beginning: str = "", pattern: str = "") -> str:
    """The first of those lines."""
    return wait_lines(path, 1, beginning, pattern)[0]


def refuses(port: int) -> bool:
    """Nobody listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_until_still(measure: Callable[[], Any], still: float = 0.2, seconds: float = 30) -> None:
    """Returns when `measure` has given the same value for `still` seconds: whatever drives it is stuck or done."""
    end = time.monotonic() + seconds
    last, since = measure(), time.monotonic()
    while time.monotonic() - since < still:
        if time.monotonic() > end:
            raise AssertionError("not still within %g s" % seconds)
        time.sleep(0.01)
        value = measure()
        if value != last:
            last, since = value, time.monotonic()


class Sandbox:
    """Owns a temporary folder and the processes started in it."""

    def __init__(self) -> None:
        self.dir = tempfile.mkdtemp(prefix="weir-test-")
        os.chmod(self.dir, 0o755)
        self.processes: list[Process] = []
        self._closers: list[Callable[[], None]] = []
        self._ports: set[int] = set()

    def path(self, name: str) -> str:
        return os.path.join(self.dir, name)

    def write(self, name: str, text: str) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def free_port(self) -> int:
        """A port nobody listens on, below the range that the kernel gives to outgoing connections."""
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low = int(file.read().split()[0])
        while True:
            port = random.randrange(max(2000, low - 20000), low)
            if port in self._ports:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            self._ports.add(port)
            return port

    def start(self, command: list[str], name: str, **environment: str) -> "Process":
        process = Process(self, command, name, environment)
        self.processes.append(process)
        return process

    def at_close(self, closer: Callable[[], None]) -> None:
        self._closers.append(closer)

    def print_logs(self, lines: int = 40) -> None:
        """The end of everything that was said, for a test that failed."""
        for process in self.processes:
            text = process.log().rstrip().split("\n")
            print("---- %s (pid %d, status %s)" % (process.name, process.pid, process.popen.poll()))
            print("\n".join(text[-lines:]))

    def close(self) -> None:
        """Ends and removes everything; then raises what the first closer complained about."""
        complaints: list[Exception] = []
        for closer in reversed(self._closers):
            try:
                closer()
            except Exception as complaint:
                complaints.append(complaint)
        for process in reversed(self.processes):
            process.kill()
        if os.environ.get("WEIR_KEEP_TEST_FILES"):
            print("kept: %s" % self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        if complaints:
            raise complaints[0]


class Process:
    """One child; its output goes to a file. It ends with this program at the latest."""

    def __init__(self, sandbox: Sandbox, command: list[str], name: str, environment: dict[str, str]):
        self.name = name
        self.log_path = sandbox.path("%s-%d.log" % (name, len(sandbox.processes)))

        def prepare() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        with open(self.log_path, "w", encoding="utf-8") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=sandbox.dir,
                                          env={**os.environ, **environment}, preexec_fn=prepare)
        self.pid = self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number: int) -> None:
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds: float = 10) -> Optional[int]:
        """The exit status; None if it still runs."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def resident_kib(self, field: str = "VmRSS") -> int:
        """Resident memory now, or at its peak (VmHWM)."""
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError("no %s of pid %d" % (field, self.pid))

    def open_pipes(self) -> int:
        """Descriptors that are ends of pipes."""
        directory = "/proc/%d/fd" % self.pid
        def target(descriptor: str) -> str:
            try:
                return os.readlink(os.path.join(directory, descriptor))
            except FileNotFoundError:  # closed since it was listed
                return ""

        return sum(target(descriptor).startswith("pipe:") for descriptor in os.listdir(directory))

    def reset_peak(self) -> None:
        """The peak of resident memory counts from now on."""
        with open("/proc/%d/clear_refs" % self.pid, "w", encoding="ascii") as file:
            file.write("5")
