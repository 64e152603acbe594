"""Servers behind weir: nginx, and programs of our own for what no decent server does."""

import hashlib
import json
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from .process import Process, Sandbox, wait_until
from .wire import Closed, Fields, Malformed, Message, Reader, chunked, format_fields

if TYPE_CHECKING:
    from .tls import Identity

_NGINX_CONF = """
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  client_max_body_size 0;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port}{flags} reuseport backlog=1024;
    {more}
    root {dir}/files;
    location = /who {{ return 200 "{name}\\n"; }}
    location / {{ try_files $uri @name; }}
    location @name {{ return 200 "{name} $request_uri\\n"; }}
  }}
}}
"""


class Nginx:
    """One nginx process: answers with its name and the request's path, or with a file."""

    def __init__(self, sandbox: Sandbox, name: str, port: Optional[int] = None, tls: Optional["Identity"] = None, more: str = "",
                 http2: bool = False):
        self.name = name
        self._sandbox = sandbox
        self._flags = ""
        self._more = more  # lines of the server block
        if tls is not None:
            self._flags = " ssl"
            self._more = "ssl_certificate %s; ssl_certificate_key %s; %s" % (tls.cert_path, tls.key_path, more)
        if http2:
            self._flags += " http2"
        for _ in range(3):
            self.port = port or sandbox.free_port()
            self.process = self._start()
            if self._listens():
                return
            self.process.kill()
        raise AssertionError("nginx does not start:\n" + self.process.log())

    def _start(self) -> Process:
        folder = self._sandbox.path("nginx-%s" % self.name)
        os.makedirs(os.path.join(folder, "files"), exist_ok=True)
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(_NGINX_CONF.format(dir=folder, port=self.port, name=self.name, flags=self._flags, more=self._more))
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx"
        return self._sandbox.start([program, "-p", folder, "-c", conf, "-e", "stderr"], "nginx-" + self.name)

    def _listens(self) -> bool:
        def ready() -> bool:
            with socket.socket() as probe:
                return not self.process.running() or probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(ready, "nginx listens")
        return self.process.running()

    def kill(self) -> None:
        self.process.kill()

    def stop(self, number: int) -> None:
        """Ends it with a signal: SIGTERM at once, SIGQUIT when the requests that run are answered."""
        self.process.signal(number)
        if self.process.wait(10) is None:
            raise AssertionError("nginx does not end:\n" + self.process.log())

    def restart(self) -> None:
        self.process.kill()
        self.process = self._start()
        if not self._listens():
            raise AssertionError("nginx does not start again:\n" + self.process.log())


class ServerConnection:
    """What a script has of one connection from weir."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.reader = Reader(sock)

    def read_head(self) -> Message:
        return self.reader.head()

    def read_request(self) -> Message:
        return self.reader.request()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def respond(self, status: int = 200, body: bytes = b"", headers: Fields = []) -> None:
        fields = [("content-length", str(len(body))), *headers]
        self.send(b"HTTP/1.1 %d Fine\r\n%s\r\n%s" % (status, format_fields(fields), body))

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[ServerConnection], None]


class ScriptedUpstream:
    """Runs `script` in a thread for every connection; the connection is closed when it returns."""

    def __init__(self, sandbox: Sandbox, script: Script, receive_buffer: Optional[int] = None, host: str = "127.0.0.1", port: int = 0):
        self.script = script
        self.connections = 0
        self.problems: list[str] = []  # what weir sent that is no HTTP
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if port:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(1024)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()
        sandbox.at_close(self.close)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            self.script(ServerConnection(sock))
        except (Closed, OSError):
            pass
        except (Malformed, ValueError) as problem:
            self.problems.append(str(problem))
        finally:
            self._open.discard(sock)
            sock.close()

    def close(self) -> None:
        """Stops listening and drops every connection."""
        for sock in (self._listener, *list(self._open)):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


class EchoUpstream(ScriptedUpstream):
    """Answers every request with a JSON account of it. Fields of the request steer it:

    x-test-status: the status · x-test-delay: seconds before it answers · x-test-gate: any value, waits until `gate` is set ·
    x-test-size: a body of so many bytes instead ·
    x-test-chunked: any value, sends chunks · x-test-trailer: a value for the trailer x-echo-trailer ·
    x-test-header: `name=value`, sent back as a field · x-test-close: any value, closes afterwards.
    """

    def __init__(self, sandbox: Sandbox, name: str = "echo", host: str = "127.0.0.1", port: int = 0):
        self.name = name
        self.requests: list[Message] = []
        self.gate = threading.Event()
        super().__init__(sandbox, self._echo, host=host, port=port)

    def _echo(self, connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            self.requests.append(request)
            time.sleep(float(request.header("x-test-delay") or 0))
            if request.header("x-test-gate"):
                self.gate.wait(60)
            status = int(request.header("x-test-status") or 200)
            body = json.dumps({
                "server": self.name, "method": request.method, "path": request.target, "version": request.version,
                "headers": request.headers, "trailers": request.trailers, "length": len(request.body),
                "sha256": hashlib.sha256(request.body).hexdigest()}).encode()
            size = request.header("x-test-size")
            if size is not None:
                body = b"x" * int(size)
            fields: Fields = [tuple(pair.split("=", 1)) for pair in request.all("x-test-header")]  # type: ignore[misc]
            trailer = request.header("x-test-trailer")
            if status in (204, 304):
                payload = b""
            elif request.header("x-test-chunked") or trailer is not None:
                fields.append(("transfer-encoding", "chunked"))
                payload = chunked(body[:7], body[7:], trailers=[("x-echo-trailer", trailer)] if trailer is not None else [])
            else:
                fields.append(("content-length", str(len(body))))
                payload = body
            if request.method == "HEAD":
                payload = b""
            closing = request.header("x-test-close") is not None
            if closing:
                fields.append(("connection", "close"))
            connection.send(b"HTTP/1.1 %d Echo\r\n%s\r\n%s" % (status, format_fields(fields), payload))
            if closing:
                return
