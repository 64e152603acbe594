"""A proxy of a test's own whose configuration changes, and what is done to it."""

import contextlib
import copy
import json
import os
import threading
import urllib.error
import urllib.request
from typing import Any, Callable, Optional

from harness.case import WeirTestCase
from harness.client import Connection, Fields
from harness.config import Config, to_yaml
from harness.process import wait_until
from harness.weir import Weir


@contextlib.contextmanager
def load(test: WeirTestCase, port_of: Callable[[], int], path: str = "/", headers: Fields = []) -> Any:
    """Clients that keep asking, each on a connection that it keeps; nothing may go wrong."""
    stop, failures, count = threading.Event(), [], [0]

    def client() -> None:
        connection: Optional[Connection] = None
        while not stop.is_set():
            try:
                connection = connection or Connection(port_of())
                response = connection.request(path=path, headers=headers)
                if response.status != 200:
                    failures.append("status %d: %s" % (response.status, response.text[:80]))
                count[0] += 1
                if (response.header("connection") or "").lower() == "close":
                    connection.close()
                    connection = None
            except Exception as error:  # noqa: BLE001: every kind of failure is a finding
                failures.append(repr(error))
                connection = None
        if connection is not None:
            connection.close()

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    try:
        wait_until(lambda: count[0] > 50, "the clients are at work")
        yield
        reached = count[0] + 50
        wait_until(lambda: count[0] > reached or failures, "the clients go on")
    finally:
        stop.set()
        for one in clients:
            one.join(20)
    test.assertEqual(failures[:5], [])


class UpdateTestCase(WeirTestCase):
    """A proxy of the test's own, and what is done to its configuration."""

    def start(self, config: Config, *arguments: str, concurrency: int = 2) -> Weir:
        self.config = copy.deepcopy(config)
        self.weir = Weir(self.sandbox, config, concurrency, list(arguments))
        return self.weir

    def write(self, config: Optional[Config] = None) -> None:
        path = self.weir.config_path
        with open(path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(config or self.config) + "\n")
        os.rename(path + ".next", path)

    def post(self, path: str) -> tuple[int, str]:
        request = urllib.request.Request("http://%s%s" % (self.weir.admin_address, path), method="POST", data=b"")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode("utf-8")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8")

    def reload(self, query: str = "") -> dict[str, Any]:
        """The configuration as it is now, sent and reloaded; the answer."""
        before = self.weir.stat("server.config_reload_success")
        self.write()
        status, body = self.post("/reload?format=json" + query)
        answer = json.loads(body)
        self.assertEqual(status, 200 if answer["ok"] else 400, body)
        if answer["applied"]:
            # It is counted when all workers have it.
            wait_until(lambda: self.weir.stat("server.config_reload_success") > before, "every worker has it")
        return answer

    def listener(self, index: int = 0) -> Config:
        return self.config["static_resources"]["listeners"][index]

    def hcm(self, index: int = 0) -> Config:
        return self.listener(index)["filter_chains"][0]["filters"][0]["typed_config"]

    def assert_changes(self, answer: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
        self.assertEqual([(one["kind"], one["name"], one["change"]) for one in answer["changes"]], expected, answer)

    @contextlib.contextmanager
    def load(self, port_of: Callable[[], int]) -> Any:
        with load(self, port_of):
            yield
