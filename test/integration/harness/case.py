"""The frame of a test: one sandbox per class, logs on failure, results for tools/run_tests.py."""

import json
import os
import sys
import unittest
import xml.etree.ElementTree as ElementTree
from typing import Any

from .process import Sandbox
from .weir import Weir
from .wire import Message


def sanitized() -> bool:
    """Whether the binary carries a sanitizer, whose memory and speed mean nothing."""
    return bool(os.environ.get("WEIR_SANITIZE"))


class WeirTestCase(unittest.TestCase):
    """Tests of one class share a sandbox and what set_up() starts in it. A failed test prints every log."""

    sandbox: Sandbox
    weir: Weir

    @classmethod
    def set_up(cls) -> None:
        """Starts what the tests of the class need."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = Sandbox()
        try:
            cls.set_up()
        except BaseException:
            cls.sandbox.print_logs()
            try:
                cls.sandbox.close()
            except AssertionError:
                pass  # what went wrong first is what counts
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        cls.sandbox.close()

    def run(self, result: Any = None) -> Any:
        before = len(result.failures) + len(result.errors) if result else 0
        outcome = super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print("==== %s failed; the logs:" % self.id())
            self.sandbox.print_logs()
        return outcome

    def echoed(self, response: Message) -> dict[str, Any]:
        """The account of the request that EchoUpstream gave; its headers as a map of lists."""
        self.assertEqual(response.status, 200, response)
        account = json.loads(response.body)
        headers: dict[str, list[str]] = {}
        for name, value in account["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        account["headers"] = headers
        return account


def add_row_tests(case: Any, rows: list[Any]) -> None:
    """For each row, which names its clause, a test over TLS and one in the clear: case.check(row, tls)."""
    def add(index: int, row: Any, tls: bool) -> None:
        def test(self: Any) -> None:
            self.check(row, tls)

        test.__doc__ = "%s (%s)" % (row.clause, "TLS" if tls else "cleartext")
        setattr(case, "test_%03d_%s" % (index, "tls" if tls else "clear"), test)

    for index, row in enumerate(rows):
        for tls in (False, True):
            add(index, row, tls)


class _Result(unittest.TextTestResult):
    """Remembers every case, for the result file."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.cases: list[tuple[str, str, str]] = []

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.cases.append((test.id(), "", ""))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.cases.append((test.id(), "failure", str(err[1])))

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.cases.append((test.id(), "error", str(err[1])))

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self.cases.append((test.id(), "skipped", reason))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.cases.append((subtest.id(), "failure", str(err[1])))

    def write(self, path: str) -> None:
        suite = ElementTree.Element("testsuite")
        for name, kind, text in self.cases:
            case = ElementTree.SubElement(suite, "testcase", name=name)
            if kind:
                ElementTree.SubElement(case, kind).text = "".join(c for c in text if c.isprintable() or c == "\n")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        ElementTree.ElementTree(suite).write(path)


def main() -> None:
    """Runs the tests of the calling file; arguments are names of classes or tests, as for unittest."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result)
    program = unittest.main(module="__main__", testRunner=runner, exit=False)
    output = os.environ.get("GTEST_OUTPUT", "")
    name = os.environ.get("WEIR_TEST_NAME", "")
    if output.startswith("xml:") and name:
        program.result.write(os.path.join(output[4:], name + ".xml"))  # type: ignore[attr-defined]
    sys.exit(0 if program.result.wasSuccessful() else 1)
