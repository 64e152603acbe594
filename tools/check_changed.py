#!/usr/bin/python3
"""clang-format or clang-tidy over the C++ files that differ from the branch this work will go to.

`format` says which lines are off (--fix rewrites the files); `tidy` runs the checks of .clang-tidy on changed .cc files.
"""

import argparse
import concurrent.futures
import difflib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("core/", "filters/", "extensions/", "api/", "test/")


def git(*arguments: str) -> list[str]:
    result = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=False)
    return result.stdout.split("\n") if result.returncode == 0 else []


def changed_files() -> list[str]:
    """Files that differ from where this branch left the main one, and those not yet added."""
    base = "HEAD"
    for main in ("origin/HEAD", "origin/main", "main"):
        found = git("merge-base", "HEAD", main)
        if found and found[0]:
            base = found[0]
            break
    if base == (git("rev-parse", "HEAD") or [""])[0] and not any(git("status", "--porcelain")):
        base = "HEAD~1"  # nothing on top: the last commit is what was changed
    names = {*git("diff", "--name-only", base), *git("ls-files", "-o", "--exclude-standard")}
    return sorted(name for name in names if name.startswith(FOLDERS) and name.endswith((".h", ".cc", ".c"))
                  and os.path.exists(os.path.join(ROOT, name)))


def check_format(files: list[str], fix: bool) -> int:
    bad = 0
    for name in files:
        path = os.path.join(ROOT, name)
        wanted = subprocess.run(["clang-format-14", path], check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text == wanted:
            continue
        bad += 1
        if fix:
            with open(path, "w", encoding="utf-8") as file:
                file.write(wanted)
            print("%s: formatted" % name)
            continue
        matcher = difflib.SequenceMatcher(None, text.split("\n"), wanted.split("\n"), autojunk=False)
        lines = [str(first + 1) for kind, first, _, _, _ in matcher.get_opcodes() if kind != "equal"]
        print("%s: lines %s%s" % (name, " ".join(lines[:12]), " ..." if len(lines) > 12 else ""))
    if bad and not fix:
        print("  fix: tools/check_changed.py format --fix")
    print("format: %d files, %d to be formatted" % (len(files), 0 if fix else bad))
    return 1 if bad and not fix else 0


def check_tidy(files: list[str], build: str, jobs: int) -> int:
    def tidy(name: str) -> tuple[str, int, str]:
        result = subprocess.run(["clang-tidy-14", "--quiet", "-p", build, name], cwd=ROOT, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=False)
        return name, result.returncode, result.stdout

    sources = [name for name in files if name.endswith(".cc")]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, status, output in pool.map(tidy, sources):
            if status or "warning:" in output:
                bad += 1
                print(output or "%s: clang-tidy ended with status %d" % (name, status))
    print("clang-tidy: %d files, %d with findings" % (len(sources), bad))
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("format", "tidy", "list"))
    parser.add_argument("--fix", action="store_true", help="format: rewrite the files")
    parser.add_argument("--all", action="store_true", help="every file, not only changed ones")
    parser.add_argument("--build", default="build/clang", help="tidy: a folder with compile_commands.json")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    files = changed_files()
    if options.all:
        files = sorted(name for name in git("ls-files", "-co", "--exclude-standard")
                       if name.startswith(FOLDERS) and name.endswith((".h", ".cc", ".c")))
    if options.what == "format":
        return check_format(files, options.fix)
    if options.what == "tidy":
        return check_tidy(files, options.build, options.jobs)
    print(*files, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
