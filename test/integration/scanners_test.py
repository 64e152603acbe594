"""Show 2 of issue 6: testssl.sh, which nobody here has written, finds nothing weak in a listener with default settings. (sslscan is
in tls_test.py.)"""

import json
import shutil
import subprocess
import unittest
from typing import Any

from harness import Weir, WeirTestCase, bootstrap, direct, http_listener, main, over_tls
from harness.config import server_tls
from harness.tls import Authority

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh")
GOOD = ("OK", "INFO", "DEBUG")
# What is said of the certificate's issuer and of the site, and not of the server.
OF_OTHERS = ("cert_crlDistributionPoints", "cert_ocspURL", "cert_revocation", "DNS_CAArecord", "OCSP_stapling", "engine_problem",
             "cert_extlifeSpan", "cert_validityPeriod", "certificate_transparency", "cert_mustStapleExtension")


class TestsslTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        identities = [cls.ca.issue("a.example", "DNS:a.example", "IP:127.0.0.1", key=key) for key in ("ec", "rsa")]
        cls.port = cls.sandbox.free_port()
        listener = http_listener(cls.port, [direct({"prefix": "/"}, "hello")])
        over_tls(listener, server_tls(*identities, common={"alpn_protocols": ["h2", "http/1.1"]}))
        cls.weir = Weir(cls.sandbox, bootstrap([listener]), concurrency=1)

    @unittest.skipUnless(TESTSSL, "testssl.sh is not installed (tools/dev setup installs it)")
    def test_nothing_is_weak(self) -> None:
        report = self.sandbox.path("testssl.json")
        # Protocols, groups of suites, forward secrecy, preferences, defaults, known weaknesses.
        done = subprocess.run([str(TESTSSL), "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--add-ca", self.ca.path,
                               "--jsonfile", report, "-p", "-s", "-f", "-P", "-S", "-U", "127.0.0.1:%d" % self.port],
                              stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=560)
        with open(report, encoding="utf-8") as file:
            found: list[dict[str, Any]] = json.load(file)
        by_id = {one["id"]: one for one in found}
        wrong = [one for one in found if one["severity"] not in GOOD and not one["id"].startswith(OF_OTHERS)]
        self.assertEqual(wrong, [], done.stdout[-6000:])
        # It has looked.
        for name, text in (("SSLv2", "not offered"), ("SSLv3", "not offered"), ("TLS1", "not offered"), ("TLS1_1", "not offered"),
                           ("TLS1_2", "offered"), ("TLS1_3", "offered"), ("ALPN_HTTP2", "h2"), ("secure_client_renego", "not vulnerable"),
                           ("heartbleed", "not vulnerable"), ("ROBOT", "not vulnerable"), ("LUCKY13", "not vulnerable")):
            self.assertIn(text, by_id[name]["finding"], name)


if __name__ == "__main__":
    main()
