#!/usr/bin/python3
"""Warns about names in documents that no longer exist: paths, `tools/dev` verbs, and identifiers in code spelling.

Only `inline code` and link targets are looked at. Exits with 0 unless --strict: documents may be ahead of the code.
"""

import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = ("core", "filters", "extensions", "api", "config-examples", "test", "tools", ".ci")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
# What looks like a name of ours: CamelCase, kConstant, WEIR_MACRO, snake_case() and weir_target.
IDENTIFIER = re.compile(r"\b(?:k[A-Z]\w+|WEIR_\w+|weir_\w+|(?:[A-Z][a-z0-9]+){2,}|[a-z]\w*_\w+(?=\(\)))")
PLACEHOLDER = re.compile(r"[<>*{}$]|\b(NAME|KIND|FILE|WHAT|PRESET)\b|\.\.\.|\b(x|a|foo|YOUR)\.(h|cc|yaml)\b")
# Names of other people's things that are spelt like ours.
FOREIGN = {"GoogleTest", "AddressSanitizer", "ThreadSanitizer", "BoringSSL", "OpenSSL", "GitHub", "CamelCase", "PascalCase"}


def documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    return sorted(path for path in listed.splitlines() if os.path.exists(os.path.join(ROOT, path)))


def known_words() -> set[str]:
    """Every word of the tree that is not a document."""
    words: set[str] = set()
    for folder, children, names in os.walk(ROOT):
        children[:] = [child for child in children if child not in (".git", "build")]
        for name in names:
            if name.endswith((".md", ".txt")) and name != "CMakeLists.txt":
                continue
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    words.update(re.findall(r"\w+", file.read()))
            except (UnicodeDecodeError, OSError):
                continue
    return words


def path_exists(path: str, document: str) -> bool:
    """From the root or from the document's folder; `core/base/time.{h,cc}` names two files."""
    options = [path]
    braces = re.match(r"(.*)\{([^}]*)\}(.*)$", path)
    if braces:
        options = [braces.group(1) + middle + braces.group(3) for middle in braces.group(2).split(",")]
    return all(any(os.path.exists(os.path.join(base, one)) for base in (ROOT, os.path.join(ROOT, os.path.dirname(document))))
               for one in options)


def check_code(code: str, document: str, words: set[str], verbs: set[str]) -> list[str]:
    problems = []
    verb = re.match(r"(?:\./)?tools/dev ([a-z][a-z-]*)", code)
    if verb and verb.group(1) not in verbs:
        problems.append("`tools/dev %s` is no verb" % verb.group(1))
    without_braces = re.sub(r"\{[\w,]+\}", "", code)
    first = code.split()[0].split(":")[0].rstrip("/,;")
    if first.split("/")[0] in TOP and "/" in first and not PLACEHOLDER.search(without_braces):
        if not first.startswith("build/") and not path_exists(first, document):
            problems.append("no such path: %s" % first)
        return problems
    if PLACEHOLDER.search(code) or "/" in code or "." in code and ":" not in code:
        return problems
    for name in IDENTIFIER.findall(code):
        if name not in words and name not in FOREIGN:
            problems.append("no such name in the code: %s" % name)
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there is a warning")
    options = parser.parse_args()
    words = known_words()
    with open(os.path.join(ROOT, "tools", "dev"), encoding="utf-8") as file:
        verbs = set(re.findall(r"[a-z][a-z-]*", re.search(r'case "\$verb" in(.*)esac', file.read(), re.S).group(1)))
    count = 0
    for document in documents():
        with open(os.path.join(ROOT, document), encoding="utf-8") as file:
            text = FENCE.sub(lambda match: "\n" * match.group(0).count("\n"), file.read())
        for number, line in enumerate(text.split("\n"), 1):
            problems = [problem for code in CODE.findall(line) if code.strip() for problem in check_code(code.strip(), document, words, verbs)]
            problems += ["no such file: %s" % link for link in LINK.findall(line)
                         if "://" not in link and not link.startswith("mailto:") and not path_exists(link, document)]
            for problem in problems:
                print("%s:%d: warning: %s" % (document, number, problem))
                count += 1
    print("names in documents: %d warnings" % count)
    return 1 if count and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
