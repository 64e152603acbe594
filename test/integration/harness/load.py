"""Clients that send one request after the other and never retry: whatever fails is counted."""

import re
import signal
import subprocess
import threading
from typing import Optional

from .client import Connection
from .process import Sandbox, wait_until


class Wrk:
    """wrk: connections that are kept, each with a request after the other, until stop()."""

    def __init__(self, sandbox: Sandbox, port: int, connections: int = 16, close: bool = False):
        headers = ["-H", "connection: close"] if close else []
        self.process = sandbox.start(["wrk", "-t", "1", "-c", str(connections), "-d", "600", "--timeout", "20s", *headers,
                                      "http://127.0.0.1:%d/" % port], "wrk")

    def stop(self) -> tuple[int, str]:
        """How many requests were answered, and what wrk says of those that were not; empty: all were."""
        self.process.signal(signal.SIGINT)
        try:
            self.process.popen.wait(20)
        except subprocess.TimeoutExpired:
            raise AssertionError("wrk does not end:\n" + self.process.log())
        log = self.process.log()
        answered = re.search(r"(\d+) requests in", log)
        if not answered:
            raise AssertionError("wrk says nothing:\n" + log)
        failures = [line.strip() for line in log.split("\n") if "Socket errors" in line or "Non-2xx" in line]
        return int(answered.group(1)), "; ".join(failures)


class Clients:
    """Threads that each send a request after the other: on one connection until its server says that it ends, or
    (`each_anew`) on a new one every time. `ports`: called for the port of a new connection; None: nobody is there, and
    the client is done."""

    def __init__(self, count: int, ports, each_anew: bool = False):  # type: ignore[no-untyped-def]
        self.answered = 0
        self.failures: list[str] = []
        self.bodies: set[str] = set()
        self._ports = ports
        self._each_anew = each_anew
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                port: Optional[int] = self._ports()
                if port is None:
                    return
                with Connection(port, timeout=30) as connection:
                    while not self._stopped.is_set():
                        response = connection.request()
                        with self._lock:
                            self.answered += 1
                            self.bodies.add(response.text)
                            if response.status != 200:
                                self.failures.append("status %d" % response.status)
                        if self._each_anew or (response.header("connection") or "").lower() == "close":
                            break
            except Exception as failure:
                with self._lock:
                    self.failures.append(repr(failure))

    def wait_for(self, more: int) -> None:
        """Waits until so many more requests were answered."""
        before = self.answered
        wait_until(lambda: self.answered >= before + more or self.failures, "%d more answers" % more, 30)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(40)
