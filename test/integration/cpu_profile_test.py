"""A profile of a proxy at work, read as the format of gperftools says."""

import os
import re
import struct
import urllib.error
import urllib.request
from typing import Any

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, sanitized,
                     wait_until)


class Profile:
    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            data = file.read()
        self.head = struct.unpack_from("=5Q", data)
        at = 5 * 8
        self.records: list[tuple[int, tuple[int, ...]]] = []
        while True:
            times, depth = struct.unpack_from("=2Q", data, at)
            stack = struct.unpack_from("=%dQ" % depth, data, at + 16)
            at += 16 + 8 * depth
            if times == 0:
                break
            self.records.append((times, stack))
        self.maps = data[at:].decode()

    def samples(self) -> int:
        return sum(times for times, _ in self.records)

    def samples_in(self, binary: str) -> int:
        """Of stacks that go through code of this file."""
        ranges = [(int(low, 16), int(high, 16)) for low, high in
                  re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r-xp .*%s$" % re.escape(binary), self.maps, re.M)]
        return sum(times for times, stack in self.records
                   if any(low <= address < high for address in stack for low, high in ranges))


class CpuProfileTest(WeirTestCase):
    def weir_with(self, **admin: Any) -> Weir:
        self.echo = EchoUpstream(self.sandbox)
        self.port = self.sandbox.free_port()
        config = bootstrap([http_listener(self.port, [route({"prefix": "/"}, "echo")])], [cluster("echo", self.echo.port)])
        config["admin"].update(admin)
        return Weir(self.sandbox, config, concurrency=1)

    def post(self, weir: Weir, query: str, method: str = "POST", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request("http://%s/cpuprofiler?%s" % (weir.admin_address, query), method=method, headers=headers,
                                         data=b"" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    # field: Admin.profile_path
    def test_a_proxy_at_work(self) -> None:
        path = self.sandbox.path("weir.prof")
        weir = self.weir_with(profile_path=path)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(self.post(weir, "enable=y"), (200, "OK\n"))
        self.assertEqual(os.path.getsize(path), 0)

        def cpu_seconds() -> float:
            with open("/proc/%d/stat" % weir.process.pid, encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        def worked() -> bool:
            for _ in range(50):
                self.assertEqual(fetch(self.port).status, 200)
            return cpu_seconds() > start + 0.6

        start = cpu_seconds()
        wait_until(worked, "CPU time", 60)
        self.assertEqual(self.post(weir, "enable=n"), (200, "OK\n"))
        profile = Profile(path)
        self.assertEqual(profile.head, (0, 3, 0, 10000, 0))
        self.assertGreaterEqual(profile.samples(), 20)
        binary = os.path.realpath("/proc/%d/exe" % weir.process.pid)
        if not sanitized():  # whose run-time library takes signals first, and keeps no frame pointers
            self.assertGreater(profile.samples_in(binary), profile.samples() / 2)
            self.assertGreater(max(len(stack) for _, stack in profile.records), 5)
        self.assertIn("CPU profile: %d samples in" % profile.samples(), weir.process.log())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        # It goes on as before, and another one replaces the first.
        self.assertEqual(fetch(self.port).status, 200)
        self.assertEqual(self.post(weir, "enable=y")[0], 200)
        self.assertEqual(os.path.getsize(path), 0)
        weir.stop()
        self.assertEqual(Profile(path).head, (0, 3, 0, 10000, 0))

    def test_who_may_ask(self) -> None:
        path = self.sandbox.path("refused.prof")
        weir = self.weir_with(profile_path=path)
        self.assertEqual(self.post(weir, "enable=y", "GET")[0], 405)
        self.assertEqual(self.post(weir, "enable=y", origin="http://evil.example")[0], 403)
        self.assertEqual(self.post(weir, "enable=y", host="evil.example")[0], 403)
        self.assertEqual(self.post(weir, "enable=maybe")[0], 400)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(self.post(weir, "enable=n"), (200, "OK\n"))
        weir.stop()

    def test_no_path_and_bad_paths(self) -> None:
        weir = self.weir_with()
        self.assertEqual(self.post(weir, "enable=y"), (400, "admin.profile_path must name the file that a profile goes to\n"))
        weir.stop()
        link = self.sandbox.path("link")
        os.symlink("/etc/passwd", link)
        weir = self.weir_with(profile_path=link)
        self.assertEqual(self.post(weir, "enable=y"), (500, link + ": is a link, which is not followed\n"))
        weir.stop()


if __name__ == "__main__":
    main()
