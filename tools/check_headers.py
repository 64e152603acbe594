#!/usr/bin/python3
"""Compiles every header alone: one that misses an include works only behind the right neighbour."""

import argparse
import concurrent.futures
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def headers() -> list[str]:
    found = []
    for top in ("core", "filters", "extensions"):
        for folder, children, names in os.walk(os.path.join(ROOT, top)):
            children.sort()
            found.extend(os.path.relpath(os.path.join(folder, name), ROOT) for name in sorted(names) if name.endswith(".h"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/clang", help="a folder with the generated headers")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()

    def compile_alone(header: str) -> tuple[str, str]:
        command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-I", ROOT,
                   "-I", os.path.join(options.build, "generated"), "-isystem", os.path.join(options.build, "api", "gen"),
                   "-include", header, "-x", "c++", "/dev/null"]
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        return header, result.stderr if result.returncode else ""

    everything = headers()
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for header, errors in pool.map(compile_alone, everything):
            if errors:
                bad += 1
                print("%s does not compile alone:\n%s" % (header, "\n".join(errors.split("\n")[:6])))
    print("headers alone: %d, %d fail" % (len(everything), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
