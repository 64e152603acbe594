"""How connections were seen to end, as logs tell it: in order, by a reset from here or by one from the peer."""

from typing import Any

from harness import Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main, route, tcp_listener, wait_until
from harness.upstreams import ServerConnection

TYPES = "%DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE%\n"


class CloseTypesTest(WeirTestCase):
    script: Any = None

    @classmethod
    def set_up(cls) -> None:
        cls.tcp, cls.http = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.raw = ScriptedUpstream(cls.sandbox, cls.run_script)
        cls.web = ScriptedUpstream(cls.sandbox, cls.answer)
        cls.tcp_log, cls.http_log = cls.sandbox.path("tcp.log"), cls.sandbox.path("http.log")
        cls.weir = Weir(cls.sandbox, bootstrap([
            tcp_listener(cls.tcp, "raw", access_log=[file_access_log(cls.tcp_log, TYPES)], idle_timeout="1s"),
            http_listener(cls.http, [route({"prefix": "/retry"}, "web", {"retry_policy": {"retry_on": "reset", "num_retries": 1}}),
                                     route({"prefix": "/"}, "web")],
                          access_log=[file_access_log(cls.http_log, "%REQ(:PATH)% " + TYPES)])],
            [cluster("raw", cls.raw.port), cluster("web", cls.web.port)]), concurrency=1)

    @classmethod
    def run_script(cls, connection: ServerConnection) -> None:
        cls.script(connection)

    retried = False

    @classmethod
    def answer(cls, connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            path = request.target
            if path == "/half-and-reset":
                connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            if path in ("/reset", "/half-and-reset"):
                connection.reset()
                return
            if path == "/close":
                return
            if path == "/retry" and not cls.retried:
                cls.retried = True
                connection.reset()
                return
            if path == "/wait":
                connection.reader.until_closed()
                return
            connection.respond(200, b"x")

    def last_of(self, path: str, start: str = "") -> str:
        def find() -> str:
            with open(path, encoding="ascii") as file:
                return next((line.strip() for line in file if line.startswith(start) and line.endswith("\n")), "")
        return wait_until(find, "a line " + start)

    def tcp_line(self, number: int) -> str:
        def find() -> list[str]:
            with open(self.tcp_log, encoding="ascii") as file:
                lines = file.read().splitlines()
            return lines if len(lines) > number else []
        return wait_until(find, "line %d" % number)[number]

    def count(self) -> int:
        with open(self.tcp_log, encoding="ascii") as file:
            return len(file.read().splitlines())

    def test_connections(self) -> None:
        def say_and_end(connection: ServerConnection) -> None:
            connection.send(connection.reader.until_closed())

        def break_off(connection: ServerConnection) -> None:
            connection.sock.recv(1)
            connection.reset()

        def listen(connection: ServerConnection) -> None:
            connection.reader.until_closed()

        number = self.count()
        CloseTypesTest.script = say_and_end
        with Connection(self.tcp) as connection:
            connection.send(b"x")
            connection.half_close()
            connection.reader.until_closed()
        self.assertEqual(self.tcp_line(number), "Normal Normal")
        CloseTypesTest.script = break_off
        with Connection(self.tcp) as connection:
            connection.send(b"x")
            with self.assertRaises(ConnectionResetError):
                connection.sock.recv(1)
        self.assertEqual(self.tcp_line(number + 1), "LocalReset RemoteReset")
        CloseTypesTest.script = listen
        connection = Connection(self.tcp)
        connection.send(b"x")
        connection.wait_taken()
        connection.reset()
        self.assertEqual(self.tcp_line(number + 2), "RemoteReset LocalReset")
        with Connection(self.tcp) as connection:
            connection.send(b"x")
            connection.reader.until_closed()  # idle
        self.assertEqual(self.tcp_line(number + 3), "Normal Normal")

    def test_requests(self) -> None:
        for path, types in (("/", "- -"), ("/reset", "- RemoteReset"), ("/half-and-reset", "- RemoteReset"), ("/close", "- Normal"),
                            ("/retry", "- -")):
            with Connection(self.http) as connection:
                connection.send_request(path=path)
                connection.readable_within(10)
                self.assertEqual(self.last_of(self.http_log, path + " "), path + " " + types)
        connection = Connection(self.http)
        connection.send_request(path="/wait")
        self.weir.wait_stat_is("cluster.web.upstream_rq_active", 1)
        connection.reset()
        self.assertTrue(self.last_of(self.http_log, "/wait ").startswith("/wait RemoteReset"))


if __name__ == "__main__":
    main()
