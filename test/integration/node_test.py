"""Show 1 of issue 6: Node.js as a client, its HTTP/2 and gRPC for it (grpc-js), through one listener with several certificates."""

import json
import os
import shutil
import subprocess
import unittest
from typing import Any

import grpc

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, over_tls, route
from harness.config import HTTP2, server_tls
from harness.grpc_service import Service, start_server
from harness.tls import Authority

NODE = shutil.which("node") or shutil.which("nodejs")
# Debian has no package of it: `tools/dev test` gets it where there is npm (node/package.json).
BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "node", "node_modules")
os.environ["NODE_PATH"] = os.pathsep.join(filter(None, [os.environ.get("NODE_PATH"), BUILD]))
HAS_GRPC_JS = NODE is not None and subprocess.run([NODE, "-e", "require('@grpc/grpc-js')"], capture_output=True).returncode == 0

HTTP2_JS = """
const fs = require('fs'), http2 = require('http2');
const [port, ca, name] = process.argv.slice(1);
const client = http2.connect('https://127.0.0.1:' + port, {ca: fs.readFileSync(ca), servername: name});
const told = {alpn: '', subject: '', answers: [], cancelled: ''};
client.on('error', problem => { console.error(problem); process.exit(1); });
client.on('connect', (session, socket) => {
  told.alpn = socket.alpnProtocol;
  told.subject = socket.getPeerCertificate().subject.CN;
});
function ask(headers, body) {
  return new Promise((resolve, reject) => {
    const stream = client.request({':authority': name, ...headers});
    let status = 0, text = '';
    stream.on('response', head => { status = head[':status']; });
    stream.setEncoding('utf8');
    stream.on('data', chunk => { text += chunk; });
    stream.on('end', () => resolve([status, text]));
    stream.on('error', reject);
    stream.end(body);
  });
}
(async () => {
  const all = [];
  for (let i = 0; i < 20; ++i) all.push(ask({':path': '/get/' + i}));
  all.push(ask({':method': 'POST', ':path': '/post'}, 'x'.repeat(1000000)));
  all.push(ask({':path': '/large', 'x-test-size': '3000000'}));
  told.answers = (await Promise.all(all)).map(([status, text]) => [status, text.length < 5000 ? JSON.parse(text) : text.length]);
  const held = client.request({':path': '/held', ':authority': name, 'x-test-gate': '1'});
  held.on('error', () => {});
  held.on('close', () => {
    told.cancelled = held.rstCode;
    console.log(JSON.stringify(told));
    client.close();
  });
  setTimeout(() => held.close(http2.constants.NGHTTP2_CANCEL), 200);
})();
"""

GRPC_JS = """
const fs = require('fs'), grpc = require('@grpc/grpc-js');
const [port, ca] = process.argv.slice(1);
const client = new grpc.Client('127.0.0.1:' + port, grpc.credentials.createSsl(fs.readFileSync(ca)),
                               {'grpc.ssl_target_name_override': 'a.example', 'grpc.default_authority': 'a.example'});
const same = bytes => bytes;
const path = name => '/test.Echo/' + name;
const told = {};
function unary(name, text, options) {
  return new Promise(resolve => {
    let initial = '', trailing = '';
    const call = client.makeUnaryRequest(path(name), same, same, Buffer.from(text), new grpc.Metadata(), options || {},
      (problem, answer) => setImmediate(() => resolve({code: problem ? problem.code : 0, details: problem ? problem.details : '',
                                                       text: answer ? answer.toString() : '', initial, trailing})));
    call.on('metadata', metadata => { initial = metadata.get('x-initial').join(); });
    call.on('status', status => { trailing = status.metadata.get('x-trailing').join(); });
  });
}
function cancelled() {
  return new Promise(resolve => {
    const call = client.makeBidiStreamRequest(path('Talk'), same, same);
    call.on('data', () => call.cancel());
    call.on('error', problem => resolve(problem.code));
    call.write(Buffer.from('m0'));
  });
}
function talk(count) {
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest(path('Talk'), same, same);
    const heard = [];
    call.on('data', answer => {
      heard.push(answer.toString());
      if (heard.length < count) call.write(Buffer.from('m' + heard.length));
      else call.end();
    });
    call.on('error', reject);
    call.on('status', status => resolve({code: status.code, heard}));
    call.write(Buffer.from('m0'));
  });
}
(async () => {
  told.unary = await unary('Unary', 'hello');
  told.many = (await Promise.all(Array.from({length: 50}, (_, i) => unary('Unary', 'n' + i)))).map(one => one.text);
  told.fail = await unary('Fail', '');
  told.deadline = await unary('Slow', '', {deadline: Date.now() + 300});
  told.talk = await talk(30);
  told.cancelled = await cancelled();
  console.log(JSON.stringify(told));
  client.close();
})().catch(problem => { console.error(problem); process.exit(1); });
"""


@unittest.skipUnless(NODE, "Node.js is not installed (tools/dev setup installs it)")
class NodeTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        identities = [cls.ca.issue("a.example"), cls.ca.issue("a.example", key="rsa"), cls.ca.issue("b.example")]
        cls.echo = EchoUpstream(cls.sandbox)
        cls.service = Service()
        _, upstream = start_server(cls.sandbox, cls.service)
        cls.port = cls.sandbox.free_port()
        listener = http_listener(cls.port, [route({"prefix": "/test.Echo/"}, "grpc", {"timeout": "0s"}), route({"prefix": "/"}, "echo")])
        over_tls(listener, server_tls(*identities, common={"alpn_protocols": ["h2", "http/1.1"]}))
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [cluster("echo", cls.echo.port), cluster("grpc", upstream, **HTTP2)]))

    def run_node(self, script: str, *arguments: str) -> Any:
        done = subprocess.run([str(NODE), "-e", script, str(self.port), self.ca.path, *arguments], text=True, capture_output=True,
                              timeout=60, env={**os.environ, "NODE_NO_WARNINGS": "1"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_http2(self) -> None:
        for name in ("a.example", "b.example"):
            told = self.run_node(HTTP2_JS, name)
            self.assertEqual((told["alpn"], told["subject"]), ("h2", name))
            self.assertEqual([status for status, _ in told["answers"]], [200] * 22)
            self.assertEqual([answer["path"] for _, answer in told["answers"][:20]], ["/get/%d" % i for i in range(20)])
            self.assertEqual(told["answers"][20][1]["length"], 1000000)
            self.assertEqual(told["answers"][21][1], 3000000)
            self.assertEqual(told["cancelled"], 8)
        self.echo.gate.set()
        self.weir.wait_stat_is("http2.streams_active", 0)
        self.assertEqual(self.weir.stat("http.ingress.downstream_cx_protocol_error"), 0)

    @unittest.skipUnless(HAS_GRPC_JS, "grpc-js is not installed (tools/dev test gets it where there is npm)")
    def test_grpc_js(self) -> None:
        self.service.cancelled.clear()
        told = self.run_node(GRPC_JS)
        self.assertEqual(told["unary"], {"code": 0, "details": "", "text": "hello", "initial": "first", "trailing": "last"})
        self.assertEqual(told["many"], ["n%d" % i for i in range(50)])
        self.assertEqual((told["fail"]["code"], told["fail"]["details"]), (9, "no, 100% sure"))
        self.assertEqual(told["deadline"]["code"], grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
        self.assertEqual(told["cancelled"], grpc.StatusCode.CANCELLED.value[0])
        self.assertEqual(told["talk"], {"code": 0, "heard": ["M%d" % i for i in range(30)]})
        self.weir.wait_stat_is("http2.streams_active", 0)
        self.assertEqual(self.weir.stat("http.ingress.downstream_cx_protocol_error"), 0)


if __name__ == "__main__":
    main()
