"""Network namespaces of a test: needs root. Names are removed with the sandbox."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from typing import Optional

from .process import Sandbox


_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Sockets that this thread makes meanwhile are those of another user, as packet filters see it."""
    _LIBC.setfsuid(NOBODY)
    try:
        yield
    finally:
        _LIBC.setfsuid(0)


def _enter(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + path)
    finally:
        os.close(descriptor)


def missing() -> Optional[str]:
    """Why there can be none here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = "ip link set lo up && iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1 && " \
            "iptables -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 1 --tproxy-mark 1"
    run = subprocess.run(["unshare", "--net", "sh", "-c", probe], capture_output=True, text=True)
    return None if run.returncode == 0 else "this kernel has no namespaces with REDIRECT and TPROXY: " + run.stderr.strip()


class Namespace:
    """One network of its own."""

    _count = 0

    def __init__(self, sandbox: Sandbox, name: str):
        Namespace._count += 1
        self.sandbox = sandbox
        self.name = "weir%d-%d-%s" % (os.getpid(), Namespace._count, name)
        self._run(["ip", "netns", "add", self.name])
        sandbox.at_close(lambda: self._run(["ip", "netns", "del", self.name]))
        self.do("ip link set lo up")

    @staticmethod
    def _run(command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError("%s: %s" % (" ".join(command), done.stderr))

    def inside(self, command: list[str]) -> list[str]:
        """The command that runs that one there."""
        return ["ip", "netns", "exec", self.name, *command]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is there meanwhile: its sockets, and the processes and threads that it starts."""
        home = "/proc/self/task/%d/ns/net" % _LIBC.gettid()
        before = os.open(home, os.O_RDONLY)
        try:
            _enter("/run/netns/" + self.name)
            yield
        finally:
            _LIBC.setns(before, _CLONE_NEWNET)
            os.close(before)

    def do(self, text: str) -> None:
        """Commands there, one on each line."""
        for line in text.strip().split("\n"):
            self._run(self.inside(line.split()))

    def connect(self, other: "Namespace", own: str, others: str) -> tuple[str, str]:
        """A cable to the other one; `own`, `others`: addresses with a length, as 10.1.1.1/24. Returns the names of its ends."""
        Namespace._count += 1
        ends = ["w%da%d" % (os.getpid() % 100000, Namespace._count), "w%db%d" % (os.getpid() % 100000, Namespace._count)]
        self._run(["ip", "link", "add", "name", ends[0], "type", "veth", "peer", "name", ends[1]])
        for space, end, address in ((self, ends[0], own), (other, ends[1], others)):
            self._run(["ip", "link", "set", end, "netns", space.name])
            space.do("ip addr add %s dev %s%s\nip link set %s up" % (address, end, " nodad" if ":" in address else "", end))
        return ends[0], ends[1]
