#!/usr/bin/python3
"""Asks the integration tests whether they mean it: runs each one that names a field (api/README.md) with that field taken
out of its configuration. A test that passes all the same does not prove the field.

    tools/mutate_fields.py [FILE ...]      FILE: part of the name of a test file; all of them take some minutes

WEIR names the binary (build/dev/weir).
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

import check_fields
from proto_schema import ROOT

FOLDER = os.path.join(ROOT, "test", "integration")
# Messages of which nothing is implemented: with and without them weir does the same.
EMPTY = {"Cluster.round_robin_lb_config", "FilterChain.filter_chain_match"}


def marked_tests(path: str) -> list[tuple[str, str]]:
    """(Class.test, field) for every field that a test of this file names."""
    found: list[tuple[str, str]] = []
    name, fields = "", []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if (match := re.match(r"class (\w+)\(", line)):
                name = match.group(1)
            elif (match := check_fields.MARK.match(line.rstrip("\n"))):
                fields += [one for one in re.split(r"[,\s]+", match.group(1)) if one]
            elif (match := re.match(r"    def (test_\w+)\(", line)):
                found += [("%s.%s" % (name, match.group(1)), field) for field in fields]
                fields = []
    return found


def survives(path: str, test: str, field: str) -> bool:
    environment = {"WEIR": os.path.join(ROOT, "build", "dev", "weir"), **os.environ, "PYTHONPATH": FOLDER,
                   "PYTHONDONTWRITEBYTECODE": "1", "WEIR_TEST_WITHOUT_FIELD": field.rsplit(".", 1)[1]}
    result = subprocess.run([sys.executable, path, test], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            check=False)
    return result.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    paths = [path for path in sorted(glob.glob(os.path.join(FOLDER, "*_test.py")))
             if not options.files or any(part in os.path.basename(path) for part in options.files)]
    marks = [(path, *mark) for path in paths for mark in marked_tests(path) if mark[1] not in EMPTY]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda mark: survives(*mark), marks))
    survivors = [mark for mark, passed in zip(marks, results) if passed]
    for path, test, field in survivors:
        print("%s: %s passes without %s" % (os.path.relpath(path, ROOT), test, field))
    print("%d fields taken out, %d not missed" % (len(marks), len(survivors)))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
