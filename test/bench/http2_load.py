#!/usr/bin/python3
"""Load over HTTP/2: h2load, asked and read like bench_load. Prints the same report; any answer that is not whole is an error."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

GRPC_MESSAGE = b"\0\0\0\0\x14" + b"twenty bytes of them"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http2", action="store_true", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True, help="requests at a time on each connection")
    parser.add_argument("--path", required=True)
    parser.add_argument("--size", type=int, required=True, help="of the body of each answer")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--grpc", action="store_true", help="unary calls with a message of 20 bytes")
    bounds = parser.add_mutually_exclusive_group(required=True)
    bounds.add_argument("--seconds", type=float)
    bounds.add_argument("--requests", type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-bench-h2-") as directory:
        print(json.dumps(run(options, directory)))


def run(options, directory):
    log = os.path.join(directory, "log")
    command = ["h2load", "--clients=%d" % options.connections, "--max-concurrent-streams=%d" % options.streams,
               "--log-file=" + log, "--npn-list=h2"]
    if options.seconds is not None:
        command.append("--duration=%dms" % round(options.seconds * 1000))
    else:
        command.append("--requests=%d" % options.requests)
    if options.grpc:
        message = os.path.join(directory, "message")
        with open(message, "wb") as file:
            file.write(GRPC_MESSAGE)
        command += ["--data=" + message, "--header=content-type: application/grpc", "--header=te: trailers"]
    command.append("%s://127.0.0.1:%d%s" % ("https" if options.tls else "http", options.port, options.path))
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    report = read(result.stdout, options.size, options.connections * options.streams)
    times = sorted(percentile_source(log))
    for name, part in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
        report[name] = times[min(len(times) - 1, int(part * len(times)))] if times else 0
    return report


def read(output, size, under_way):
    """h2load's report as bench_load's. With a duration it leaves off with requests `under_way`."""
    def numbers(expression, what):
        found = re.search(expression, output, re.M)
        if not found:
            raise SystemExit("h2load says nothing of %s:\n%s" % (what, output[-500:]))
        return found.groups()

    done, succeeded, failed, errored, late = map(int, numbers(
        r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", "requests"))
    good = int(numbers(r"^status codes: (\d+) 2xx", "status codes")[0])
    body = int(numbers(r" headers .*\((\d+)\) data$", "bytes")[0])
    amount, unit = numbers(r"^finished in ([0-9.]+)(us|ms|s),", "time")
    error = ""
    # Without a duration there is nothing under way at the end.
    if failed or errored or late or good < succeeded:
        error = "%d requests failed, %d broke off, %d were late, %d had another status" % (failed, errored, late, succeeded - good)
    elif not succeeded:
        error = "no request was answered"
    elif not succeeded * size <= body <= (done + under_way) * size:
        error = "%d answers had %d bytes of body" % (succeeded, body)
    return {"requests": succeeded, "bytes": succeeded * size, "errors": 1 if error else 0, "error": error,
            "seconds": float(amount) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]}


def percentile_source(log):
    with open(log, "rb") as file:
        return [int(line.rsplit(b"\t", 1)[1]) for line in file.read().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
