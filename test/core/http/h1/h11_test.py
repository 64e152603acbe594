#!/usr/bin/python3
"""Reads what the encoders write with h11, an independent and strict HTTP/1.1 implementation."""
import subprocess
import sys

import h11

OWN = (b"x-own-field", b'a value; with="things"')


def samples(program):
    out = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout
    found = {}
    while out:
        line, out = out.split(b"\n", 1)
        kind, size = line.split(b" ")
        found[kind.decode()] = out[: int(size)]
        out = out[int(size) :]
    return found


def pattern(size):
    return bytes(ord("a") + i % 26 for i in range(size))


def events_of(connection, data, step, eof):
    """All events of `data` given in pieces of `step` bytes, data events joined."""
    events = []
    body = b""

    def drain():
        nonlocal body
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return
            if isinstance(event, h11.Data):
                body += bytes(event.data)
                continue
            if isinstance(event, h11.ConnectionClosed):
                return
            events.append(event)
            if isinstance(event, h11.EndOfMessage):
                return

    for i in range(0, len(data), step):
        connection.receive_data(data[i : i + step])
        drain()
    if eof:
        connection.receive_data(b"")
        drain()
    trailing = connection.trailing_data[0]
    assert trailing == b"", trailing
    return events, body


def read_request(data, step):
    connection = h11.Connection(h11.SERVER)
    events, body = events_of(connection, data, step, False)
    request, end = events
    assert isinstance(end, h11.EndOfMessage), events
    return request, body, end


def read_response(data, step, method=b"GET", eof=False):
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    connection.send(h11.EndOfMessage())
    events, body = events_of(connection, data, step, eof)
    assert isinstance(events[-1], h11.EndOfMessage), events
    return events[:-1], body, connection


def check_requests(found, step):
    for kind, method, body, framing in (
        ("get", b"GET", b"", None),
        ("get-proper", b"GET", b"", None),
        ("post-empty", b"POST", b"", (b"content-length", b"0")),
        ("post-length", b"POST", 2 * pattern(700), (b"content-length", b"1400")),
        ("post-chunked", b"POST", 2 * pattern(700), (b"transfer-encoding", b"chunked")),
        ("post-chunked-large", b"POST", 2 * pattern(70000), (b"transfer-encoding", b"chunked")),
        ("post-trailers", b"POST", 2 * pattern(20), (b"transfer-encoding", b"chunked")),
    ):
        request, got, end = read_request(found[kind], step)
        headers = list(request.headers)
        assert request.method == method and request.target == b"/some/path?q=1", request
        assert request.http_version == b"1.1"
        assert got == body, (kind, len(got), len(body))
        assert headers[0] == (b"host", b"example.com:8080"), headers
        assert OWN in headers and (b"accept", b"") in headers and (b"user-agent", b"weir-test/1") in headers, headers
        framings = [h for h in headers if h[0] in (b"content-length", b"transfer-encoding")]
        assert framings == ([framing] if framing else []), (kind, framings)
        trailers = [(b"x-checksum", b"123")] if kind == "post-trailers" else []
        assert list(end.headers) == trailers, end
    raw = h11.Connection(h11.SERVER)
    raw.receive_data(found["get-proper"])
    names = [name for name, _ in raw.next_event().headers.raw_items()]
    assert b"X-Own-Field" in names and b"User-Agent" in names and b"Host" in names, names


def check_responses(found, step):
    cookies = [(b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    for kind, status, body, framing, method, reusable in (
        ("response-length", 200, pattern(5000), (b"content-length", b"5000"), b"GET", True),
        ("response-chunked", 200, pattern(5000), (b"transfer-encoding", b"chunked"), b"GET", True),
        ("response-empty", 404, b"", (b"content-length", b"0"), b"GET", True),
        ("response-204", 204, b"", None, b"GET", True),
        ("response-304", 304, b"", None, b"GET", True),
        ("response-close", 200, pattern(10), (b"transfer-encoding", b"chunked"), b"GET", False),
        ("response-head", 200, b"", (b"content-length", b"10"), b"HEAD", True),
        ("response-http10", 200, pattern(10), None, b"GET", False),
    ):
        heads, got, connection = read_response(found[kind], step, method, eof=kind == "response-http10")
        if kind in ("response-length", "response-head"):
            assert heads[0].status_code == 100, heads
            heads = heads[1:]
        (head,) = heads
        headers = list(head.headers)
        assert head.status_code == status and got == body, (kind, head, got)
        assert [h for h in headers if h[0] == b"set-cookie"] == cookies, headers
        framings = [h for h in headers if h[0] in (b"content-length", b"transfer-encoding")]
        assert framings == ([framing] if framing else []), (kind, framings)
        closes = (b"connection", b"close") in headers
        assert closes == (not reusable), (kind, headers)
        assert (connection.their_state is h11.DONE) == reusable, (kind, connection.their_state)


def main():
    found = samples(sys.argv[1])
    for step in (1, 7, 1 << 20):
        check_requests(found, step)
        check_responses(found, step)
    print(f"h11 {h11.__version__}: {len(found)} messages agree")


if __name__ == "__main__":
    main()
