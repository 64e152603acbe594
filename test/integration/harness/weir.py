"""The binary under test as a process."""

import json
import os
import re
import socket
import urllib.error
import urllib.request
from typing import Any, Optional, Union

from .config import Config, to_yaml, without_field
from .process import Sandbox, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
# A line of these in the log means a bug whatever the test says.
_REPORTS = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|WEIR_ASSERT|WEIR_BUG|WEIR_CHECK")


def weir_binary() -> str:
    return os.environ.get("WEIR") or os.path.join(ROOT, "build", "release", "weir")


class Weir:
    """weir with a configuration of the test (a value or a path); ready when the constructor returns. `through`: a
    command that becomes the one it is given."""

    def __init__(self, sandbox: Sandbox, config: Union[Config, str], concurrency: int = 2, arguments: list[str] = [],
                 through: list[str] = [], environment: dict[str, str] = {}):
        count = sum(process.name == "weir" for process in sandbox.processes)
        config = without_field(config, os.environ.get("WEIR_TEST_WITHOUT_FIELD", ""))
        self.config_path = config if isinstance(config, str) else sandbox.write("weir-%d.yaml" % count, to_yaml(config) + "\n")
        self._address_path = sandbox.path("admin-address-%d" % count)
        # By default all of a user's would answer to one name, and whoever asks for a predecessor there gets any.
        own = [] if {"--socket-path", "--disable-hot-restart"} & set(arguments) else ["--socket-path", sandbox.path("restart-%d" % count)]
        self.process = sandbox.start(
            [*through, weir_binary(), "-c", self.config_path, "--concurrency", str(concurrency), "--admin-address-path",
             self._address_path, "--file-flush-interval-msec", "50", *own, *arguments], "weir", **environment)
        self._stopped = False
        self.admin_address = wait_until(self._read_address, "weir writes its admin address", 20)
        wait_until(self._is_ready, "weir is ready", 20)
        sandbox.at_close(self.stop)

    def _read_address(self) -> str:
        if not self.process.running():
            raise AssertionError("weir ended with status %s:\n%s" % (self.process.popen.poll(), self.process.log()[-4000:]))
        try:
            with open(self._address_path, encoding="ascii") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    def _is_ready(self) -> bool:
        self._read_address()  # fails if the process has ended
        try:
            return self.admin("/ready").strip() == "LIVE"
        except OSError:
            return False

    @property
    def admin_port(self) -> int:
        return int(self.admin_address.rsplit(":", 1)[1])

    def admin(self, path: str, method: str = "GET") -> str:
        """The body of an admin page; urllib.error.HTTPError if its status is not 200."""
        request = urllib.request.Request("http://%s%s" % (self.admin_address, path), method=method,
                                         data=b"" if method == "POST" else None)
        with urllib.request.urlopen(request, timeout=10) as response:
            body = response.read().decode("utf-8")
        if path.startswith("/runtime_modify"):
            self.settle()
        return body

    def settle(self) -> None:
        """Waits until every worker has what was published so far: a reload is counted when all have it."""
        before = self.stat("server.config_reload_success")
        self.admin("/reload", "POST")
        self.wait_stat("server.config_reload_success", before + 1)

    def admin_json(self, path: str) -> Any:
        return json.loads(self.admin(path))

    def stats(self) -> dict[str, int]:
        """Counters and gauges by name."""
        values = {}
        for line in self.admin("/stats").split("\n"):
            name, _, value = line.partition(": ")
            if value.isdigit():
                values[name] = int(value)
        return values

    def stat(self, name: str) -> int:
        return self.stats().get(name, 0)

    def wait_stat(self, name: str, value: int, seconds: float = 10) -> None:
        """Waits until the stat has at least this value; cells of workers are merged a moment later."""
        wait_until(lambda: self.stat(name) >= value, "%s >= %d (it is %d)" % (name, value, self.stat(name)), seconds)

    def wait_stat_is(self, name: str, value: int, seconds: float = 10) -> None:
        wait_until(lambda: self.stat(name) == value, "%s == %d (it is %d)" % (name, value, self.stat(name)), seconds)

    def stop(self) -> None:
        """Quits without draining and fails if the process did not end cleanly."""
        if self._stopped:
            return
        self._stopped = True
        if self.process.running():
            try:
                self.admin("/quitquitquit", "POST")
            except (OSError, urllib.error.URLError, socket.timeout):
                pass
            status = self.process.wait(20)
        else:
            status = self.process.popen.poll()
        self._check_end(status, (0,))

    def ended_with(self, *statuses: int, seconds: float = 20) -> None:
        """Waits for its end, which is as it should be with any of these statuses."""
        status = self.process.wait(seconds)
        self._stopped = True
        self._check_end(status, statuses)

    def _check_end(self, status: Optional[int], statuses: tuple[int, ...]) -> None:
        report = _REPORTS.search(self.process.log())
        if report:
            raise AssertionError("weir's log has %r:\n%s" % (report.group(0), self.process.log()[-8000:]))
        if status not in statuses:
            raise AssertionError("weir ended with status %s:\n%s" % (status, self.process.log()[-4000:]))
