#!/usr/bin/python3
"""Checks who includes what, and a few words that are not allowed in some places, against tools/layers.toml.

Prints the rule, its reason and the usual fix for each violation; exits with 1 if there is one. Warnings do not fail.
"""

import argparse
import os
import re
import sys
import tomllib
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("core", "filters", "extensions", "api", "test")
SUFFIXES = (".h", ".hpp", ".cc", ".c")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Comments and literals, which the words are not looked for in.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)
ABI_HEADERS = ("stdint.h", "stddef.h")


@dataclass(frozen=True)
class Finding:
    """One violation: where, what, and the rule behind it."""

    path: str
    line: int
    text: str
    reason: str
    fix: str
    warning: bool = False


@dataclass
class Source:
    """A file of ours, and what the rules need to know of it."""

    path: str  # relative to the root, with /
    text: str
    folder: str = ""   # core/http, filters/http/buffer, extensions/lb/round_robin, api/abi, test/...
    plugin: str = ""   # the same, if it is a plugin
    kind: str = ""     # filters/http
    includes: list[tuple[int, str, str]] = field(default_factory=list)  # line, bracket, name

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if parts[0] in ("filters", "extensions") and len(parts) > 2:
            self.kind = "/".join(parts[:2])
            # extensions/dynamic is one plugin; filters/http/common/<topic> is shared by its kind.
            deep = 2 if self.kind == "extensions/dynamic" else 4 if parts[2] == "common" else 3
            self.plugin = self.folder = "/".join(parts[:min(deep, len(parts) - 1)])
        else:
            self.folder = "/".join(parts[:2])
        for number, line in enumerate(self.text.split("\n"), 1):
            match = INCLUDE.match(line)
            if match:
                self.includes.append((number, match.group(1), match.group(2)))


class Rules:
    """The rules of layers.toml, as questions."""

    def __init__(self, path: str):
        with open(path, "rb") as file:
            self.toml = tomllib.load(file)
        self.rank = {name: rank for rank, line in enumerate(self.toml["layers"]["order"]) for name in line}

    def check(self, source: Source) -> list[Finding]:
        findings = []
        for line, bracket, name in source.includes:
            findings.extend(self.check_own(source, line, name))
            findings.extend(self.check_outside(source, line, name))
            findings.extend(self.check_api(source, line, bracket, name))
        findings.extend(self.check_words(source))
        return findings

    def check_own(self, source: Source, line: int, name: str) -> list[Finding]:
        """Includes of our own files."""
        parts = name.split("/")
        if parts[0] == "test" and not source.path.startswith("test/"):
            return [Finding(source.path, line, "includes %s" % name, "the product never includes its tests",
                            "move it to core/, or the user of it to test/")]
        if source.path.startswith("test/") or parts[0] not in ("core", "filters", "extensions") or len(parts) < 3:
            return []
        if source.plugin:
            return self.check_plugin(source, line, name, parts)
        if source.path.startswith("core/"):
            return self.check_core(source, line, name, parts)
        return []

    def check_core(self, source: Source, line: int, name: str, parts: list[str]) -> list[Finding]:
        layers = self.toml["layers"]
        own = source.folder.split("/")[1]
        if own not in self.rank:
            return [Finding(source.path, line, "core/%s is not in the list of layers" % own, layers["reason"],
                            "add the folder to tools/layers.toml, at its place")]
        if parts[0] != "core":
            return [Finding(source.path, line, "core includes the plugin file %s" % name,
                            "only programs know plugins, through the generated table", layers["fix"])]
        other = parts[1]
        if other != own and self.rank.get(other, 1000) >= self.rank[own]:
            relation = "above" if self.rank.get(other, 1000) > self.rank[own] else "beside"
            return [Finding(source.path, line, "core/%s includes %s, which is %s it" % (own, name, relation),
                            layers["reason"], layers["fix"])]
        return []

    def check_plugin(self, source: Source, line: int, name: str, parts: list[str]) -> list[Finding]:
        plugins = self.toml["plugins"]
        if parts[0] != "core":
            inside = name.startswith(source.plugin + "/")
            shared = name.startswith((source.kind + "/common/", "filters/common/"))
            if inside or shared:
                return []
            return [Finding(source.path, line, "%s includes %s" % (source.plugin, name), plugins["cross_reason"],
                            plugins["cross_fix"])]
        kind = plugins["kinds"].get(source.kind)
        if kind is None:
            return [Finding(source.path, line, "%s is not a known kind of plugin" % source.kind, plugins["reason"],
                            "add the kind to tools/layers.toml")]
        allowed = {*plugins["always"], *kind, *plugins["exceptions"].get(source.plugin, [])}
        if parts[1] in allowed:
            return []
        return [Finding(source.path, line, "%s includes %s; it may use core/{%s}"
                        % (source.plugin, name, ",".join(sorted(allowed))), plugins["reason"], plugins["fix"])]

    def check_outside(self, source: Source, line: int, name: str) -> list[Finding]:
        """Includes of libraries."""
        if source.path.startswith(("test/", "api/")):
            return []
        for rule in self.toml["headers"]:
            if not any(matches(name, prefix) for prefix in rule["prefix"]):
                continue
            if any(under(source.path, folder) for folder in rule["folders"]):
                continue
            if rule.get("plugin_sources") and source.plugin and source.path.endswith(".cc"):
                continue
            where = ", ".join(rule["folders"]) or "nowhere"
            if rule.get("plugin_sources"):
                where += ", .cc files of plugins"
            return [Finding(source.path, line, "includes <%s>, which is allowed in: %s" % (name, where), rule["reason"],
                            rule["fix"])]
        return []

    def check_api(self, source: Source, line: int, bracket: str, name: str) -> list[Finding]:
        """The plugin ABI stands alone, and the SDK on it."""
        if under(source.path, "api/abi"):
            if bracket == "<" and name in ABI_HEADERS or name.startswith(("weir/", "api/abi/")) or "/" not in name and bracket == '"':
                return []
            return [Finding(source.path, line, "includes <%s>" % name, "the ABI is plain C that any compiler can read",
                            "use <stdint.h> and <stddef.h> only")]
        if under(source.path, "api/sdk") and name.startswith(("core/", "filters/", "extensions/", "absl/", "google/")):
            return [Finding(source.path, line, "includes %s" % name, "the SDK is compiled outside this tree",
                            "use api/abi and the standard library only")]
        return []

    def check_words(self, source: Source) -> list[Finding]:
        if source.path.startswith(("test/", "api/")):
            return []
        findings = []
        code = None
        for rule in self.toml["words"]:
            if source.path in rule.get("except", []):
                continue
            if "only" in rule and not any(under(source.path, folder) for folder in rule["only"]):
                continue
            if code is None:
                code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), source.text)
            for match in re.finditer(rule["pattern"], code):
                line = code.count("\n", 0, match.start()) + 1
                findings.append(Finding(source.path, line, "uses %s" % match.group(0).strip("( \n"), rule["reason"],
                                        rule["fix"], rule.get("level") == "warning"))
        return findings


def matches(name: str, prefix: str) -> bool:
    if prefix.startswith("*"):
        return name.endswith(prefix[1:])
    return name.startswith(prefix) if prefix.endswith("/") else name == prefix


def under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def sources(root: str) -> list[Source]:
    found = []
    for top in FOLDERS:
        for folder, children, names in os.walk(os.path.join(root, top)):
            children.sort()
            for name in sorted(names):
                if name.endswith(SUFFIXES):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        found.append(Source(os.path.relpath(path, root), file.read()))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=ROOT, help="the tree to look at (default: this one)")
    parser.add_argument("--warnings", action="store_true", help="print warnings one by one")
    options = parser.parse_args()
    rules = Rules(os.path.join(ROOT, "tools", "layers.toml"))
    files = sources(options.root)
    findings = [finding for source in files for finding in rules.check(source)]
    errors = [finding for finding in findings if not finding.warning]
    warnings = [finding for finding in findings if finding.warning]
    for group, label in ((errors, "error"), (warnings if options.warnings else [], "warning")):
        by_rule: dict[tuple[str, str], list[Finding]] = {}
        for finding in group:
            by_rule.setdefault((finding.reason, finding.fix), []).append(finding)
        for (reason, fix), members in by_rule.items():
            for finding in members:
                print("%s:%d: %s: %s" % (finding.path, finding.line, label, finding.text))
            print("  why: %s\n  fix: %s" % (reason, fix))
    hint = "" if options.warnings or not warnings else " (--warnings shows them)"
    print("layers: %d files, %d errors, %d warnings%s" % (len(files), len(errors), len(warnings), hint))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
