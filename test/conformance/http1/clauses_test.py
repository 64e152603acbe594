"""Sends every row of clauses.py to the binary over raw sockets, with an origin that records what reaches it."""

import os
import re
import socket
import sys
from typing import Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import clauses
from clauses import Row
from harness import Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, enable_h1_options, http_listener, main, route
from harness.upstreams import ServerConnection
from harness.wire import Closed, Malformed, Message


class Origin:
    """Answers each request of the current row with its bytes and remembers the requests."""

    def __init__(self) -> None:
        self.row: Optional[Row] = None
        self.requests: list[Message] = []
        self.raw: list[bytes] = []
        self.broken: list[str] = []

    def begin(self, row: Row) -> None:
        self.row = row
        self.requests = []
        self.raw = []
        self.broken = []

    def serve(self, connection: ServerConnection) -> None:
        while True:
            try:
                request = connection.read_request()
            except Malformed as problem:
                self.broken.append(str(problem))
                raise
            except Closed:
                if connection.reader.buffer:
                    self.raw.append(connection.reader.buffer)
                raise
            self.requests.append(request)
            row = self.row
            assert row is not None
            answers = row.origin_sends
            answer = answers[min(len(self.requests), len(answers)) - 1]
            if not answer:
                return
            connection.send(answer)
            if row.origin_closes or b"\r\nconnection: close" in answer.lower():
                return


class ClausesTest(WeirTestCase):
    """One test per row, made below."""

    origin: Origin

    @classmethod
    def set_up(cls) -> None:
        cls.origin = Origin()
        upstream = ScriptedUpstream(cls.sandbox, cls.origin.serve)
        cls.ports = {name: cls.sandbox.free_port() for name in clauses.LISTENERS}
        listeners = [http_listener(cls.ports[name], [route({"prefix": "/"}, "origin")], name=name, **fields)
                     for name, fields in clauses.LISTENERS.items()]
        # OPTIONS * has no path: it is routed by a prefix of "*".
        for listener in listeners:
            hosts = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
            hosts[0]["routes"].append(route({"prefix": "*"}, "origin"))
            hosts[0]["routes"].append(route({"connect_matcher": {}}, "origin"))
        origin = enable_h1_options(cluster("origin", upstream.port), enable_trailers=True)
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [origin]), concurrency=1)

    def check(self, row: Row) -> None:
        self.origin.begin(row)
        with Connection(self.ports[row.listener], timeout=5) as connection:
            try:
                for piece in row.client_sends:
                    connection.send(piece)
            except ConnectionError:
                pass  # refused before it was sent whole
            if row.client_ends:
                connection.half_close()
            for index, wanted in enumerate(row.answers):
                self.check_answer(row, connection, wanted, index)
            if row.closes:
                self.assertTrue(self.closed(connection), "%s: the connection stays open" % row.clause)
            else:
                self.assertFalse(self.closed(connection, 0.02), "%s: the connection is closed" % row.clause)
        self.check_origin(row)

    @staticmethod
    def closed(connection: Connection, seconds: float = 5) -> bool:
        try:
            return connection.closed_within(seconds)
        except AssertionError as problem:
            raise AssertionError("more than the answers that were expected: %s" % problem) from None

    def check_answer(self, row: Row, connection: Connection, wanted: clauses.Answer, index: int) -> None:
        where = "%s, answer %d" % (row.clause, index + 1)
        if wanted.cut_short:
            with self.assertRaises((Closed, ConnectionError, socket.timeout), msg=where):
                connection.read_response(wanted.method)
            return
        answer = connection.read_response(wanted.method)
        self.assertIn(answer.status, wanted.status, "%s: %s" % (where, answer))
        for name, value in wanted.has:
            self.assertIn(value, [each for each in answer.all(name)] + [answer.header(name)], "%s: %s in %s" % (where, name, answer))
        for name in wanted.lacks:
            self.assertEqual(answer.all(name), [], "%s: %s in %s" % (where, name, answer))
        for name in wanted.present:
            self.assertEqual(len(answer.all(name)), 1, "%s: %s in %s" % (where, name, answer))
        if wanted.body is not None:
            self.assertEqual(answer.body, wanted.body, where)
        if wanted.trailers is not None:
            self.assertEqual([(name.lower(), value) for name, value in answer.trailers], wanted.trailers, where)
        if wanted.interim is not None:
            self.assertEqual([each.status for each in answer.interim], wanted.interim, where)
        if wanted.reason is not None:
            self.assertEqual(answer.reason, wanted.reason, where)
        if wanted.version is not None:
            self.assertEqual(answer.version, wanted.version, where)

    def check_origin(self, row: Row) -> None:
        self.assertEqual(self.origin.broken, [], "%s: the origin got what is no request" % row.clause)
        self.assertEqual(len(self.origin.requests), len(row.reach), "%s: requests at the origin: %s" % (row.clause, self.origin.requests))
        self.assertEqual(self.origin.raw, [], "%s: the origin got part of another request" % row.clause)
        for request, wanted in zip(self.origin.requests, row.reach):
            where = "%s: %s" % (row.clause, request)
            if wanted.method is not None:
                self.assertEqual(request.method, wanted.method, where)
            if wanted.target is not None:
                self.assertEqual(request.target, wanted.target, where)
            self.assertEqual(request.version, "HTTP/1.1", where)
            self.assertEqual(len(request.all("host")), 1, where)
            self.assertLessEqual(len(request.all("content-length")) + len(request.all("transfer-encoding")), 1, where)
            for name, value in wanted.has:
                self.assertIn(value, [each for each in request.all(name)] + [request.header(name)], "%s in %s" % (name, where))
            for name in wanted.lacks:
                self.assertEqual(request.all(name), [], "%s in %s" % (name, where))
            if wanted.body is not None:
                self.assertEqual(request.body, wanted.body, where)
            if wanted.trailers is not None:
                self.assertEqual([(name.lower(), value) for name, value in request.trailers], wanted.trailers, where)
            if wanted.order is not None:
                self.assertEqual(request.all(wanted.order[0]), wanted.order[1], where)


def _add_tests() -> None:
    names: dict[str, int] = {}
    for row in clauses.ROWS:
        name = "test_" + re.sub(r"[^a-z0-9]+", "_", row.clause.lower()).strip("_")
        names[name] = names.get(name, 0) + 1
        setattr(ClausesTest, "%s__%d" % (name, names[name]), lambda self, row=row: self.check(row))


_add_tests()


if __name__ == "__main__":
    print("%d rows, %d clauses" % (len(clauses.ROWS), len({row.clause.split(":")[0] for row in clauses.ROWS})))
    main()
