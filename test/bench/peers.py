"""The proxies: how each is configured, for one core, by somebody who knows it well.

Common to all: no access log, keep-alive to both sides that no round outlives, no header fields or features that the
scenario does not need. To add one: a subclass with `command()`, and its name in PEERS.
"""

import os
import shutil
import subprocess

import harness
import route_tables


class Peer:
    name = ""
    binary = ""

    def __init__(self, options):
        self.options = options

    def missing(self):
        """Why this proxy cannot run here, or None."""
        return None if shutil.which(self.binary) else "%s is not installed" % self.binary

    def refuses(self, scenario):
        """Why this proxy sits this scenario out, or None."""
        return None

    def command(self, setup):
        raise NotImplementedError


class Setup:
    """What a proxy is started with."""

    def __init__(self, scenario, directory, port, origin_ports, workers=1):
        self.scenario = scenario
        self.dir = directory
        self.port = port
        self.origin_ports = origin_ports
        self.workers = workers

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        return path


    def alpn(self):
        return "h2" if self.scenario.http2 else "http/1.1"

    def certificate(self):
        """(certificate, key, both in one file) of the kind that the scenario says."""
        paths = [os.path.join(self.dir, name) for name in ("cert.pem", "key.pem", "both.pem")]
        kind = {"p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa2048": ["rsa:2048"]}[self.scenario.tls]
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=shop.example", "-addext",
                        "subjectAltName=DNS:shop.example", "-newkey", *kind, "-out", paths[0], "-keyout", paths[1]],
                       check=True, stderr=subprocess.DEVNULL)
        with open(paths[2], "w") as both:
            for path in paths[:2]:
                with open(path) as file:
                    both.write(file.read())
        return paths


# Sessions are resumed by tickets, as all do by default. The load program leaves no choice of suite or group.
WEIR_TLS = """    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [%s]
            tls_certificates:
            - certificate_chain: {filename: "%s"}
              private_key: {filename: "%s"}
      filters:
"""


# With HTTP/2 a header field is a good part of a request, and all others are told to add none.
WEIR_BARE = {
    "          codec_type: AUTO\n": "          codec_type: AUTO\n          generate_request_id: false\n"
                                     "          server_header_transformation: PASS_THROUGH\n",
    "http.router.v3.Router\n": "http.router.v3.Router\n              suppress_envoy_headers: true\n",
}


class Weir(Peer):
    name = "weir"

    def missing(self):
        if os.access(self.options.weir, os.X_OK):
            return None
        return "%s does not exist; `tools/dev build` makes it" % self.options.weir

    def command(self, setup):
        return self.command_with(setup, os.path.join(harness.HERE, "configs", setup.scenario.weir_config))

    def command_with(self, setup, template):
        with open(template) as file:
            text = file.read()
        if setup.scenario.tls:
            text = text.replace("    - filters:\n", WEIR_TLS % (setup.alpn(), *setup.certificate()[:2]))
        if setup.scenario.http2:
            for at_default, bare in WEIR_BARE.items():
                text = text.replace(at_default, bare)
        lines = []
        for line in text.split("\n"):
            if "{{VIRTUAL_HOSTS}}" in line:
                indent = line.index("{{")
                lines.append(" " * indent + route_tables.weir(indent))
            # The line that mentions {{ENDPOINT_PORT}} is repeated for every endpoint.
            elif "{{ENDPOINT_PORT}}" in line and not line.lstrip().startswith("#"):
                lines += [line.replace("{{ENDPOINT_PORT}}", str(port)) for port in setup.origin_ports]
            else:
                lines.append(line.replace("{{PORT}}", str(setup.port)))
        path = setup.write("weir.yaml", "\n".join(lines))
        return [self.options.weir, "-c", path, "--concurrency", str(setup.workers), "-l", "warning"]


class WeirOneRoute(Weir):
    """Not a rival: weir with one route for everything, under the same requests."""

    name = "weir-one"

    def command(self, setup):
        return self.command_with(setup, os.path.join(harness.HERE, "configs", "http.yaml"))


class Haproxy(Peer):
    name = binary = "haproxy"

    def command(self, setup):
        balance = {"least_request": "leastconn"}.get(setup.scenario.balance, "roundrobin")
        # Large bodies go from socket to socket through a pipe; what is too small for that is not affected.
        splice, pipe = ("option splice-response", "tune.pipesize 1048576") if setup.scenario.bulk else ("", "")
        # Its own order of suites would choose AES-256 where all others take what the client names first.
        tls = " ssl crt %s ciphersuites TLS_AES_128_GCM_SHA256" % setup.certificate()[2] if setup.scenario.tls else ""
        if setup.scenario.http2:
            tls += " alpn h2" if setup.scenario.tls else " proto h2"
        upstream = " proto h2" if setup.scenario.http2_origin else ""
        if setup.scenario.tcp:
            return ["haproxy", "-db", "-f", self.write_tcp(setup, tls)]
        servers = "".join("  server s%d 127.0.0.1:%d pool-purge-delay 300s%s\n" % (*item, upstream)
                          for item in enumerate(setup.origin_ports))
        chosen = "default_backend origin"
        if setup.scenario.routes:
            chosen = "use_backend %%[base,map_beg(%s)]" % setup.write("routes.map", route_tables.haproxy_map())
        path = setup.write("haproxy.cfg", f"""
global
  nbthread {setup.workers}
  maxconn 7000
  {pipe}
defaults
  mode http
  http-reuse always
  {splice}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  timeout tunnel 300s
frontend bench
  bind 127.0.0.1:{setup.port}{tls}
  {chosen}
backend origin
  balance {balance}
{servers}""")
        return ["haproxy", "-db", "-f", path]


    @staticmethod
    def write_tcp(setup, tls):
        splice, pipe = ("option splice-auto", "tune.pipesize 1048576") if setup.scenario.bulk else ("", "")
        servers = "".join("  server s%d 127.0.0.1:%d\n" % item for item in enumerate(setup.origin_ports))
        return setup.write("haproxy.cfg", f"""
global
  nbthread {setup.workers}
  maxconn 7000
  {pipe}
defaults
  mode tcp
  {splice}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend bench
  bind 127.0.0.1:{setup.port}{tls}
  default_backend origin
backend origin
  balance roundrobin
{servers}""")


class Nginx(Peer):
    name = binary = "nginx"

    @staticmethod
    def tls(setup):
        """(a word for `listen`, what the server says)"""
        if not setup.scenario.tls:
            return "", ""
        words = "ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3;" % tuple(setup.certificate()[:2])
        return " ssl", words

    STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def refuses(self, scenario):
        if (scenario.tcp or scenario.udp) and not os.path.exists(self.STREAM):
            return "nginx without its stream module (libnginx-mod-stream)"
        if scenario.http2_origin and not scenario.grpc:
            return "nginx speaks HTTP/2 to servers of gRPC only"
        return None

    def command_stream(self, setup):
        udp = setup.scenario.udp
        listen = "udp" if udp else "backlog=4096"
        nodelay = "" if udp else "tcp_nodelay on;"
        user = "user root;" if os.geteuid() == 0 else ""
        endpoints = "".join("    server 127.0.0.1:%d max_fails=0;\n" % port for port in setup.origin_ports)
        buffer = "256k" if setup.scenario.bulk else "16k"
        ssl, tls = self.tls(setup)
        path = setup.write("nginx.conf", f"""
load_module {self.STREAM};
{user}
daemon off;
worker_processes {setup.workers};
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {setup.dir}/nginx.pid;
events {{
  worker_connections 18000;
  multi_accept on;
}}
stream {{
  upstream origin {{
{endpoints}
  }}
  server {{
    listen 127.0.0.1:{setup.port}{ssl} {listen}{' reuseport' if setup.workers > 1 else ''};
    {tls}
    proxy_pass origin;
    proxy_timeout 300s;
    proxy_buffer_size {buffer};
    {nodelay}
  }}
}}
""")
        return ["nginx", "-e", "stderr", "-p", setup.dir, "-c", path]

    def command(self, setup):
        if setup.scenario.tcp or setup.scenario.udp:
            return self.command_stream(setup)
        balance = "least_conn;" if setup.scenario.balance == "least_request" else ""
        user = "user root;" if os.geteuid() == 0 else ""
        buffer = {1 << 20: "16k", 100 << 20: "256k"}.get(setup.scenario.size, "32k")  # cheapest of 4k to 256k for each
        endpoints = "".join("    server 127.0.0.1:%d max_fails=0;\n" % port for port in setup.origin_ports)
        ssl, tls = self.tls(setup)
        if setup.scenario.http2:
            ssl += " http2"
        listen = f"127.0.0.1:{setup.port}{ssl} backlog=4096{' reuseport' if setup.workers > 1 else ''}"
        if setup.scenario.routes:
            servers = route_tables.nginx_servers(listen)
        else:
            servers = "server { listen %s; %s location / { %s; } }" % (
                listen, tls, "grpc_pass grpc://origin" if setup.scenario.grpc else "proxy_pass http://origin")
        connection, upgrade = ("Upgrade", "proxy_set_header Upgrade $http_upgrade;") if setup.scenario.websocket else ("", "")
        # zlib's default sizes, as in configs/gzip.yaml.
        gzip = "gzip on; gzip_types application/json; gzip_comp_level 6;" if setup.scenario.gzip else ""
        path = setup.write("nginx.conf", f"""
{user}
daemon off;
worker_processes {setup.workers};
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {setup.dir}/nginx.pid;
events {{
  worker_connections 18000;
  multi_accept on;
}}
http {{
  access_log off;
  client_body_temp_path {setup.dir}/body;
  proxy_temp_path {setup.dir}/proxy;
  fastcgi_temp_path {setup.dir}/fastcgi;
  uwsgi_temp_path {setup.dir}/uwsgi;
  scgi_temp_path {setup.dir}/scgi;
  tcp_nodelay on;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream origin {{
    {balance}
{endpoints}
    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "{connection}";
  {upgrade}
  {gzip}
  proxy_set_header Host $host;
  proxy_max_temp_file_size 0;
  proxy_buffer_size {buffer};
  proxy_buffers 8 {buffer};
  {servers}
}}
""")
        return ["nginx", "-e", "stderr", "-p", setup.dir, "-c", path]


class H2o(Peer):
    name = binary = "h2o"

    def refuses(self, scenario):
        if scenario.tcp:
            return "h2o speaks HTTP only"
        if scenario.routes:
            return "h2o 2.2 has a pool of connections per path"
        if scenario.http2_origin:
            return "h2o 2.2 speaks HTTP/1.1 to servers"
        return "h2o 2.2 has one endpoint per path" if scenario.endpoints > 1 else None

    def command(self, setup):
        user = "user: root" if os.geteuid() == 0 else ""
        websocket = "        proxy.websocket: ON\n" if setup.scenario.websocket else ""
        tls = "  ssl:\n    certificate-file: %s\n    key-file: %s\n" % tuple(setup.certificate()[:2]) if setup.scenario.tls else ""
        path = setup.write("h2o.conf", f"""
{user}
num-threads: {setup.workers}
num-name-resolution-threads: 1
max-connections: 18000
http1-request-timeout: 300
http1-upgrade-to-http2: OFF
pid-file: {setup.dir}/h2o.pid
proxy.emit-x-forwarded-headers: OFF
proxy.emit-via-header: OFF
listen:
  host: 127.0.0.1
  port: {setup.port}
{tls}hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{setup.origin_ports[0]}/"
        proxy.preserve-host: ON
{websocket}        proxy.timeout.keepalive: 300000
""")
        return ["h2o", "-m", "worker", "-c", path]


class Nghttpx(Peer):
    name = binary = "nghttpx"

    def refuses(self, scenario):
        if scenario.tcp:
            return "nghttpx speaks HTTP only"
        return "nghttpx has no least-connections" if scenario.balance == "least_request" else None

    def command(self, setup):
        protocol = "h2" if setup.scenario.http2_origin else "http/1.1"
        backends = "".join("backend=127.0.0.1,%d;;proto=%s\n" % (port, protocol) for port in setup.origin_ports)
        if setup.scenario.routes:
            backends = route_tables.nghttpx_backends(setup.origin_ports[0])
        listener, tls = ";no-tls", ""
        if setup.scenario.tls:
            listener = ""
            tls = "certificate-file=%s\nprivate-key-file=%s\n" % tuple(setup.certificate()[:2])
        path = setup.write("nghttpx.conf", f"""
frontend=127.0.0.1,{setup.port}{listener}
{tls}{backends}
workers={setup.workers}
single-process=yes
backlog=4096
accesslog-file=
errorlog-file=/dev/stderr
log-level=ERROR
no-via=yes
no-server-rewrite=yes
no-add-x-forwarded-proto=yes
frontend-keep-alive-timeout=300
frontend-read-timeout=300
backend-keep-alive-timeout=300
backend-read-timeout=300
""")
        return ["nghttpx", "--conf", path]


class Floor(Peer):
    """The byte-copying floor, not a rival: what the kernel's part costs."""

    name = "floor"

    def __init__(self, options, loop="epoll"):
        super().__init__(options)
        self.loop = loop
        if loop != "epoll":
            self.name = "floor-" + loop

    def missing(self):
        return None

    def refuses(self, scenario):
        if scenario.websocket or scenario.http2 or scenario.tls:
            return "it knows where a plain HTTP response ends, and no more"
        return None

    def command(self, setup):
        command = [harness.tool("bench_floor"), "--port=%d" % setup.port, "--loop=" + self.loop,
                   "--upstream=" + ",".join(map(str, setup.origin_ports))]
        if setup.scenario.bulk:
            command.append("--buffer=262144")
        if setup.scenario.new_connections:
            command.append("--close-after-response")
        return command


PEERS = ["weir", "haproxy", "nginx", "h2o", "nghttpx", "floor"]
LOOPS = ["floor-uv_tcp", "floor-uv_poll", "floor-uv_embed"]
NOT_RIVALS = {"weir", WeirOneRoute.name, "floor", *LOOPS}


def make(name, options):
    classes = {kind.name: kind for kind in (Weir, WeirOneRoute, Haproxy, Nginx, H2o, Nghttpx, Floor)}
    if name in LOOPS:
        return Floor(options, name.removeprefix("floor-"))
    return classes[name](options)
