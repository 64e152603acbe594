"""Show 1 of issue 6: a browser as a client, headless Chromium, through a listener with several certificates."""

import html
import json
import re
import shutil
import subprocess
import unittest
from typing import Any

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, http_listener, main, over_tls, route
from harness.config import server_tls
from harness.tls import Authority

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)

PAGE = """<!doctype html><title>weir</title><body><script>
(async () => {
  const asked = [];
  for (let i = 0; i < 20; ++i) asked.push(fetch('/get/' + i).then(answer => answer.json()));
  const posted = await (await fetch('/post', {method: 'POST', body: 'x'.repeat(1000000)})).json();
  const large = await (await fetch('/large', {headers: {'x-test-size': '2000000'}})).text();
  const paths = (await Promise.all(asked)).map(one => one.path);
  const protocol = entry => entry.nextHopProtocol;
  document.body.textContent = JSON.stringify({
    paths, posted: posted.length, large: large.length,
    page: performance.getEntriesByType('navigation').map(protocol),
    rest: [...new Set(performance.getEntriesByType('resource').map(protocol))]});
})().catch(problem => { document.body.textContent = 'failed: ' + problem; });
</script>"""


@unittest.skipUnless(BROWSER, "Chromium is not installed (apt-get install chromium-headless-shell)")
class BrowserTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        ca = Authority(cls.sandbox)
        identities = [ca.issue("a.example"), ca.issue("a.example", key="rsa"), ca.issue("b.example")]
        cls.echo = EchoUpstream(cls.sandbox)
        cls.ports = {alpn: cls.sandbox.free_port() for alpn in ("h2", "http/1.1")}
        page = direct({"path": "/page"}, PAGE, response_headers_to_add=[{
            "header": {"key": "content-type", "value": "text/html"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}])
        listeners = []
        for alpn, port in cls.ports.items():
            listener = http_listener(port, [page, route({"prefix": "/"}, "echo")], name="speaks-%s" % alpn)
            over_tls(listener, server_tls(*identities, common={"alpn_protocols": [alpn]}))
            listeners.append(listener)
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [cluster("echo", cls.echo.port)]))

    def load(self, alpn: str) -> Any:
        done = subprocess.run([str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               "--user-data-dir=" + self.sandbox.path("profile-" + alpn.replace("/", "")), "--ignore-certificate-errors",
                               "--host-resolver-rules=MAP a.example 127.0.0.1", "--virtual-time-budget=20000", "--dump-dom",
                               "https://a.example:%d/page" % self.ports[alpn]], text=True, capture_output=True, timeout=120)
        body = re.search(r"<body>(\{.*\})</body>", done.stdout, re.DOTALL)
        self.assertTrue(body, done.stdout[-2000:] + done.stderr[-2000:])
        assert body is not None
        return json.loads(html.unescape(body.group(1)))

    def test_pages_and_what_they_fetch(self) -> None:
        for alpn in self.ports:
            told = self.load(alpn)
            self.assertEqual(told["page"], [alpn])
            self.assertEqual(told["rest"], [alpn])
            self.assertEqual(told["paths"], ["/get/%d" % i for i in range(20)])
            self.assertEqual((told["posted"], told["large"]), (1000000, 2000000))
        stats = self.weir.stats()
        self.assertEqual(stats["http.ingress.downstream_cx_protocol_error"], 0)
        self.assertGreaterEqual(stats["http.ingress.downstream_rq_http2_total"], 23)


if __name__ == "__main__":
    main()
