#!/usr/bin/python3
"""Makes what protoc wrote cheaper to compile and usable from C++20; run by api/CMakeLists.txt behind protoc.

lean_headers.py DIR FILE.proto ...: rewrites DIR/FILE.pb.h and DIR/FILE.pb.cc.

- The accessors release_x(), set_allocated_x() and unsafe_arena_..._x() go. weir calls none of them, and every source that
  includes a header pays for the templates that they instantiate: a quarter of a second, two hundred times.
- Without optimize_for = SPEED, a message is copied by reflection, as it is parsed, and what is for parsers only goes: a
  sixth of the time that these sources take.
- A field called `requires`, a word of C++20, gets accessors of the name requires_().
"""

import re
import sys

GONE = r"(?:release|set_allocated|unsafe_arena_release|unsafe_arena_set_allocated)_"
# protoc begins and ends a function at the left margin.
DEFINITION = re.compile(rf"^[^\s/}}#][^\n]*::{GONE}\w+\(\n?[^\n]*\{{\n(?:(?!\}}\n)[^\n]*\n)*\}}\n", re.M)
DECLARATION = re.compile(rf"^  [^\n;()]*\b{GONE}\w+\([^;{{}}]*\);\n", re.M)
COPY = re.compile(r"^(\w+)::\1\(const \1& from\)\n(?:(?!\}\n)[^\n]*\n)*\}\n", re.M)
FOR_PARSERS = re.compile(r"^class \w+::_Internal \{\n(?:(?!\};\n)[^\n]*\n)*\};\n|"
                         r"^const [\w:]+&\n\w+::_Internal::\w+\(const \w+\* msg\) \{\n[^\n]*\n\}\n", re.M)
REQUIRES = re.compile(r"[^A-Za-z0-9_]requires\(")


def without_accessors(text: str) -> str:
    return DECLARATION.sub("", DEFINITION.sub("", text))


def with_small_functions(source: str) -> str:
    if "::_InternalParse(" in source:
        return source
    return FOR_PARSERS.sub("", COPY.sub(r"\1::\1(const \1& from) : \1() { MergeFrom(from); }\n", source))


def with_requires_renamed(header: str) -> str:
    if not REQUIRES.search(header):
        return header
    begin, end = "#include <google/protobuf/port_def.inc>", "#include <google/protobuf/port_undef.inc>"
    return header.replace(begin, f"{begin}\n#define requires requires_").replace(end, f"#undef requires\n{end}")


def rewrite(path: str, change) -> None:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed = change(text)
    if changed != text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)


def main() -> None:
    directory, *protos = sys.argv[1:]
    for proto in protos:
        stem = f"{directory}/{proto.removesuffix('.proto')}"
        rewrite(f"{stem}.pb.h", lambda text: with_requires_renamed(without_accessors(text)))
        rewrite(f"{stem}.pb.cc", lambda text: with_small_functions(without_accessors(text)))


if __name__ == "__main__":
    main()
