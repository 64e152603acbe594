"""The rows of smuggling.txt and responses.txt (whose heads say what they mean) as smuggling_test.cc reads them."""

import os
import re
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
_SINGLE = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "p": b"|"}


@dataclass
class Row:
    line: int
    verdict: str
    complete: int
    flags: set[str]
    body: bytes = b""
    checks_body: bool = False
    bytes: bytes = b""
    technique: str = field(default="")  # the comment above it

    def __str__(self) -> str:
        return "%d %s %r" % (self.line, self.verdict, self.bytes[:100])


def _unescape(text: str) -> bytes:
    out = b""
    at = 0
    while at < len(text):
        if text[at] != "\\" or at + 1 == len(text):
            out += text[at].encode("latin-1")
            at += 1
            continue
        letter = text[at + 1]
        if letter in _SINGLE:
            out += _SINGLE[letter]
        elif letter == "x":
            out += bytes([int(text[at + 2:at + 4], 16)])
            at += 2
        elif letter == "{":  # \{N c}
            end = text.index("}", at)
            count, what = text[at + 2:end].split(" ", 1)
            out += _unescape(what) * int(count)
            at = end - 1
        else:
            out += letter.encode("latin-1")
        at += 2
    return out


def read(name: str) -> list[Row]:
    rows = []
    technique = ""
    with open(os.path.join(HERE, name), encoding="latin-1", newline="\n") as file:
        for number, text in enumerate(file, 1):
            text = text.rstrip("\n")
            if text.startswith("#"):
                technique = text.strip("#- ")
            if not text or text.startswith("#"):
                continue
            verdict, flags, data = text.split("|", 2)
            words = verdict.split()
            row = Row(number, words[0], int(words[1]) if len(words) > 1 else 0, set(), technique=technique)
            for flag in flags.split():
                if flag.startswith("body="):
                    row.checks_body, row.body = True, _unescape(flag[5:])
                else:
                    row.flags.add(flag)
            row.bytes = _unescape(data.strip(" \t"))
            rows.append(row)
    return rows


def statuses() -> dict[str, int]:
    """What each error of core/http/h1/error.h is answered with."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
    with open(os.path.join(root, "core", "http", "h1", "error.h"), encoding="utf-8") as file:
        found = re.findall(r"X\(\w+, (\w+), (\d+),", file.read())
    return {"http1." + name: int(status) for name, status in found}
