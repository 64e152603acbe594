#!/usr/bin/python3
"""Writes a large bootstrap, YAML or JSON by the file's name: clusters with endpoints, and as many routes to them.

    big_config.py big.yaml                            10,000 clusters with 10 endpoints, 10,000 routes, some 18 MB
    big_config.py small.json --clusters 100 --port 10000 --admin-port 9901
"""

import argparse
import json

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def cluster_name(number):
    return "team-%d.service-%05d" % (number % 97, number)


def endpoint_address(cluster, endpoint, variant=0):
    """`variant` changes one endpoint of one cluster, the last."""
    if variant and endpoint == 0:
        return "10.250.%d.%d" % (variant // 250, variant % 250 + 1)
    return "10.%d.%d.%d" % (cluster // 250, cluster % 250, endpoint + 1)


def write_yaml(file, clusters, endpoints, routes, port, admin_port, variant=0):
    write = file.write
    write("admin:\n  address:\n    socket_address: {address: 127.0.0.1, port_value: %d}\n" % admin_port)
    write("static_resources:\n  listeners:\n  - name: edge\n    address:\n      socket_address:\n"
          "        address: 127.0.0.1\n        port_value: %d\n    filter_chains:\n    - filters:\n"
          "      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n"
          "          \"@type\": %s\n          stat_prefix: edge\n          http_filters:\n"
          "          - name: envoy.filters.http.router\n            typed_config:\n              \"@type\": %s\n"
          "          route_config:\n            name: edge\n            virtual_hosts:\n            - name: all\n"
          "              domains: [\"*\"]\n              routes:\n" % (port, HCM, ROUTER))
    for i in range(routes):
        write("              - match:\n                  prefix: /api/v1/%s/\n                route:\n"
              "                  cluster: %s\n                  timeout: 5s\n"
              % (cluster_name(i), cluster_name(i % clusters)))
    write("  clusters:\n")
    for i in range(clusters):
        write("  - name: %s\n    type: STATIC\n    connect_timeout: 0.25s\n    lb_policy: LEAST_REQUEST\n"
              "    circuit_breakers:\n      thresholds:\n      - max_connections: 2048\n        max_retries: 8\n"
              "    load_assignment:\n      cluster_name: %s\n      endpoints:\n      - lb_endpoints:\n"
              % (cluster_name(i), cluster_name(i)))
        for j in range(endpoints):
            write("        - endpoint:\n            address:\n              socket_address:\n"
                  "                address: %s\n                port_value: 8080\n"
                  % endpoint_address(i, j, variant if i == clusters - 1 else 0))


def as_object(clusters, endpoints, routes, port, admin_port, variant=0):
    def socket(address, number):
        return {"socket_address": {"address": address, "port_value": number}}

    manager = {
        "@type": HCM, "stat_prefix": "edge",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        "route_config": {"name": "edge", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/api/v1/%s/" % cluster_name(i)},
             "route": {"cluster": cluster_name(i % clusters), "timeout": "5s"}} for i in range(routes)]}]}}
    return {
        "admin": {"address": socket("127.0.0.1", admin_port)},
        "static_resources": {
            "listeners": [{"name": "edge", "address": socket("127.0.0.1", port), "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [
                {"name": cluster_name(i), "type": "STATIC", "connect_timeout": "0.25s", "lb_policy": "LEAST_REQUEST",
                 "circuit_breakers": {"thresholds": [{"max_connections": 2048, "max_retries": 8}]},
                 "load_assignment": {"cluster_name": cluster_name(i), "endpoints": [{"lb_endpoints": [
                     {"endpoint": {"address": socket(
                         endpoint_address(i, j, variant if i == clusters - 1 else 0), 8080)}}
                     for j in range(endpoints)]}]}} for i in range(clusters)]}}


def write(path, **shape):
    with open(path, "w") as file:
        if path.endswith(".json"):
            json.dump(as_object(**shape), file, indent=1)
        else:
            write_yaml(file, **shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help=".yaml or .json")
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=10, help="of each cluster")
    parser.add_argument("--routes", type=int, default=10_000)
    parser.add_argument("--port", type=int, default=10000)
    parser.add_argument("--admin-port", type=int, default=9901)
    parser.add_argument("--variant", type=int, default=0, help="1 and above: another address of one endpoint")
    options = parser.parse_args()
    write(options.file, clusters=options.clusters, endpoints=options.endpoints, routes=options.routes,
          port=options.port, admin_port=options.admin_port, variant=options.variant)


if __name__ == "__main__":
    main()
