"""Ten thousand routes over random hosts and paths, the same in every run: for each proxy in its own words.

Each host has prefixes, exact paths and regexes. The proxies that have no regexes worth it (HAProxy tries those of a map one
after the other, nghttpx has none) get prefixes instead, which flatters them. All routes lead to one upstream, and a
request that no route takes is an error, so a run shows that each route is found.
"""

import random

HOSTS = 500
PREFIXES, EXACT, REGEXES = 14, 4, 2  # of each host
COUNT = HOSTS * (PREFIXES + EXACT + REGEXES)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Route:
    """`text`: what the route is written with. `path`: one that it takes and no other route of its host does."""

    def __init__(self, kind, text, path):
        self.kind = kind
        self.text = text
        self.path = path

    def as_prefix(self):
        return self.text.split("[")[0]


def _word(rng):
    return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(3, 10)))


def tables():
    """{host: its routes in order}"""
    rng = random.Random(4711)
    hosts = {}
    while len(hosts) < HOSTS:
        routes = []
        for number in range(PREFIXES + EXACT + REGEXES):
            # The number keeps the routes of a host apart; the origin wants the size of its answer in front.
            base = "/bytes/13/%s%d/%s" % (_word(rng), number, "/".join(_word(rng) for _ in range(rng.randint(1, 3))))
            if number < PREFIXES:
                routes.append(Route("prefix", base + "/", base + "/" + _word(rng)))
            elif number < PREFIXES + EXACT:
                routes.append(Route("path", base, base))
            else:
                routes.append(Route("regex", base + "/[0-9]+/edit", "%s/%d/edit" % (base, rng.randint(1, 10**6))))
        rng.shuffle(routes)
        hosts["%s-%d.example.com" % (_word(rng), len(hosts))] = routes
    return hosts


def targets():
    """Lines for bench_load --targets: one request for each route, shuffled."""
    lines = ["%s %s\n" % (host, route.path) for host, routes in tables().items() for route in routes]
    random.Random(1).shuffle(lines)
    return "".join(lines)


def weir(indent):
    """`virtual_hosts` in YAML."""
    keys = {"prefix": "prefix: %s", "path": "path: %s", "regex": "safe_regex: {regex: '%s'}"}
    lines = []
    for host, routes in tables().items():
        lines += ["- name: %s" % host, "  domains: [%s]" % host, "  routes:"]
        lines += ["  - {match: {%s}, route: {cluster: origin}}" % (keys[route.kind] % route.text) for route in routes]
    return ("\n" + " " * indent).join(lines)


def haproxy_map():
    return "".join("%s%s origin\n" % (host, route.as_prefix()) for host, routes in tables().items() for route in routes)


def nginx_servers(listen):
    forms = {"prefix": "^~ %s", "path": "= %s", "regex": "~ ^%s$"}  # a prefix with ^~ is not followed by the regexes
    lines = ["server_names_hash_max_size 8192;", "server_names_hash_bucket_size 128;",
             "server { listen %s default_server; return 404; }" % listen]
    for host, routes in tables().items():
        lines.append("server { listen %s; server_name %s;" % (listen.split()[0], host))
        lines += ["  location %s { proxy_pass http://origin; }" % (forms[route.kind] % route.text) for route in routes]
        lines.append("}")
    return "\n".join(lines)


def nghttpx_backends(port):
    """One backend for all patterns; the last is the one for everything that nghttpx insists on."""
    return "".join("backend=127.0.0.1,%d;%s%s;proto=http/1.1\n" % (port, host, route.as_prefix())
                   for host, routes in tables().items() for route in routes) + "backend=127.0.0.1,%d;/;proto=http/1.1\n" % port
