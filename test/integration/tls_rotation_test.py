"""Certificates that change while requests run, from all places where they may come from."""

import json
import os
import threading
import time
from typing import Any

from harness import Weir, WeirTestCase, bootstrap, direct, http_listener, main, over_tls, wait_until
from harness.config import server_tls, trusts
from harness.tls import Authority, Identity, TlsConnection, client_context, write_atomically


class RotationTest(WeirTestCase):
    def set_up_each(self, socket: dict[str, Any], secrets: list = []) -> None:
        self.port = self.sandbox.free_port()
        config = bootstrap([over_tls(http_listener(self.port, [direct({"prefix": "/"}, "ok")]), socket)])
        if secrets:
            config["static_resources"]["secrets"] = secrets
        self.weir = Weir(self.sandbox, config)

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)

    def issue(self) -> Identity:
        return self.ca.issue("a.example")

    def shown(self) -> bytes:
        with TlsConnection(self.port, "a.example", client_context(self.ca)) as connection:
            self.assertEqual(connection.request().text, "ok")
            return connection.peer

    def wait_shown(self, identity: Identity) -> None:
        wait_until(lambda: self.shown() == identity.der, "the new certificate is shown")

    def put(self, folder: str, identity: Identity) -> dict[str, Any]:
        """The identity in files of this folder, replaced one after the other."""
        os.makedirs(folder, exist_ok=True)
        write_atomically(os.path.join(folder, "tls.crt"), identity.pem)
        write_atomically(os.path.join(folder, "tls.key"), identity.key_pem)
        return {"certificate_chain": {"filename": os.path.join(folder, "tls.crt")},
                "private_key": {"filename": os.path.join(folder, "tls.key")}}

    def test_under_load(self) -> None:
        folder = self.sandbox.path("load")
        first, second = self.issue(), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)]}))
        held = TlsConnection(self.port, "a.example", client_context(self.ca))
        held.request()
        stop = threading.Event()
        failures: list[str] = []
        seen: list[bytes] = []

        def load() -> None:
            context = client_context(self.ca)
            while not stop.is_set():
                try:
                    with TlsConnection(self.port, "a.example", context) as connection:
                        for _ in range(5):
                            if connection.request().status != 200:
                                failures.append("status")
                        seen.append(connection.peer)
                except Exception as problem:  # noqa: BLE001
                    failures.append(repr(problem))

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: first.der in seen, "load")
        self.put(folder, second)
        wait_until(lambda: seen.count(second.der) > 20, "the new certificate is served", 30)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual({self.shown() for _ in range(3)}, {second.der})
        self.assertEqual(held.request().status, 200)  # nobody was cut off
        self.assertGreaterEqual(self.weir.stat("listener.127.0.0.1_%d.server_ssl_socket_factory.ssl_context_update_by_sds" % self.port), 1)
        self.assertEqual(held.peer, first.der)
        held.close()

    def test_broken_ones_change_nothing(self) -> None:
        folder = self.sandbox.path("broken")
        first, second, third = self.issue(), self.issue(), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)]}))
        failed = self.weir.stat("server.config_reload_failure")
        write_atomically(os.path.join(folder, "tls.crt"), second.pem)  # the key is the old one's
        self.weir.wait_stat("server.config_reload_failure", failed + 1)
        self.assertEqual(self.shown(), first.der)
        log = self.weir.process.log()
        self.assertRegex(log, r"tls_certificates\[0\]\.private_key: \S*tls\.key.*; what was in use goes on")
        self.assertNotIn("PRIVATE KEY", log)
        # Another broken one is another story; the same one again is told once.
        write_atomically(os.path.join(folder, "tls.crt"), "junk")
        self.weir.wait_stat("server.config_reload_failure", failed + 2)
        write_atomically(os.path.join(folder, "unrelated"), "x")
        time.sleep(0.5)
        self.assertEqual(self.weir.stat("server.config_reload_failure"), failed + 2)
        self.assertEqual(self.shown(), first.der)
        self.put(folder, third)
        self.wait_shown(third)

    def test_one_broken_one_does_not_hold_up_the_others(self) -> None:
        folders = [self.sandbox.path("one"), self.sandbox.path("two")]
        old = [self.issue(), self.issue()]
        self.port, other = self.sandbox.free_port(), self.sandbox.free_port()
        listeners = [over_tls(http_listener(port, [direct({"prefix": "/"}, "ok")], name=folder), server_tls(
            common={"tls_certificates": [self.put(folder, identity)]}))
            for port, folder, identity in zip((other, self.port), folders, old)]
        self.weir = Weir(self.sandbox, bootstrap(listeners))
        write_atomically(os.path.join(folders[0], "tls.key"), "junk")
        self.weir.wait_stat("server.config_reload_failure", 1)
        new = self.issue()
        self.put(folders[1], new)
        self.wait_shown(new)
        self.port = other
        self.assertEqual(self.shown(), old[0].der)
        # A reload that somebody asks for is refused as a whole, and says why.
        with self.assertRaises(Exception):
            self.weir.admin("/reload", "POST")

    # field: TlsCertificate.watched_directory
    def test_one_broken_one_does_not_hold_up_another_of_its_context(self) -> None:
        folders = [self.sandbox.path("first"), self.sandbox.path("second")]
        names = ["a.example", "b.example"]
        old = [self.ca.issue(name) for name in names]
        bundle = self.sandbox.write("clients.pem", self.ca.pem)
        self.set_up_each(server_tls(common={
            "tls_certificates": [self.put(folder, identity) for folder, identity in zip(folders, old)],
            "validation_context": {"trusted_ca": {"filename": bundle}}}))

        def shown(name: str) -> bytes:
            with TlsConnection(self.port, name, client_context(self.ca)) as connection:
                return connection.peer

        self.assertEqual([shown(name) for name in names], [one.der for one in old])
        failed = self.weir.stat("server.config_reload_failure")
        write_atomically(os.path.join(folders[0], "tls.crt"), "junk")
        self.weir.wait_stat("server.config_reload_failure", failed + 1)
        write_atomically(bundle, "junk")
        self.weir.wait_stat("server.config_reload_failure", failed + 2)
        fresh = self.ca.issue(names[1])
        self.put(folders[1], fresh)
        wait_until(lambda: shown(names[1]) == fresh.der, "the other one is renewed")
        self.assertEqual(shown(names[0]), old[0].der)
        last = self.weir.admin_json("/server_info")["weir"]["last_reload"]
        self.assertFalse(last["ok"])
        self.assertIn("tls_certificates[0].certificate_chain", last["error"])
        self.assertIn("trusted_ca", last["error"])
        # What is mended serves, and the page says so.
        renewed = self.ca.issue(names[0])
        write_atomically(bundle, self.ca.pem)
        self.put(folders[0], renewed)
        wait_until(lambda: shown(names[0]) == renewed.der, "the broken one is mended")
        self.assertEqual(shown(names[1]), fresh.der)
        wait_until(lambda: self.weir.admin_json("/server_info")["weir"]["last_reload"]["ok"], "all is well")

    def test_the_version_is_that_of_what_is_in_force(self) -> None:
        own, clients, others = self.sandbox.path("version/own"), self.sandbox.path("version/ca.pem"), self.sandbox.path("version/other.pem")
        first, second = self.issue(), self.issue()
        secrets = [{"name": "x", "tls_certificate": self.put(own, first)},
                   {"name": "x", "validation_context": {"trusted_ca": {"filename": clients}}}]
        for bundle in (clients, others):
            write_atomically(bundle, self.ca.pem)
        other = over_tls(http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "ok")], name="other"), server_tls(
            first, common={"validation_context": {"trusted_ca": {"filename": others}}}))
        self.port = self.sandbox.free_port()
        config = bootstrap([other, over_tls(http_listener(self.port, [direct({"prefix": "/"}, "ok")]), server_tls(common={
            "tls_certificate_sds_secret_configs": [{"name": "x"}], "validation_context_sds_secret_config": {"name": "x"}}))])
        config["static_resources"]["secrets"] = secrets
        self.weir = Weir(self.sandbox, config)

        def version() -> str:
            return self.weir.admin_json("/server_info")["weir"]["config"]["version"]

        at_first, failed = version(), self.weir.stat("server.config_reload_failure")
        for number, bundle in enumerate((clients, others), 1):
            write_atomically(bundle, "junk")
            self.weir.wait_stat("server.config_reload_failure", failed + number)
            self.assertEqual(version(), at_first, bundle)
        self.assertEqual(self.weir.stat("server.config_reload_success"), 0)
        # Renewed beside them: another version, and not that of the junk.
        self.put(own, second)
        self.wait_shown(second)
        renewed = version()
        self.assertNotEqual(renewed, at_first)
        for bundle in (clients, others):
            write_atomically(bundle, self.ca.pem)
        wait_until(lambda: self.weir.admin_json("/server_info")["weir"]["last_reload"]["ok"], "all is well")
        self.assertEqual(version(), renewed)

    def test_directory_links(self) -> None:
        first, second = self.issue(), self.issue()
        for version, identity in (("v1", first), ("v2", second)):
            self.put(self.sandbox.path("mount/" + version), identity)
        os.symlink("v1", self.sandbox.path("mount/live"))
        folder = self.sandbox.path("mount/live")
        self.set_up_each(server_tls(common={"tls_certificates": [{
            "certificate_chain": {"filename": folder + "/tls.crt"}, "private_key": {"filename": folder + "/tls.key"},
            "watched_directory": {"path": self.sandbox.path("mount")}}]}))
        self.assertEqual(self.shown(), first.der)
        os.symlink("v2", self.sandbox.path("mount/next"))
        os.rename(self.sandbox.path("mount/next"), folder)
        self.wait_shown(second)

    def test_links_are_followed_unasked(self) -> None:
        first, second = self.issue(), self.issue()
        for version, identity in (("v1", first), ("v2", second)):
            self.put(self.sandbox.path("own/" + version), identity)
        os.symlink("v1", self.sandbox.path("own/..data"))
        for name in ("tls.crt", "tls.key"):  # as mounted secrets have it
            os.symlink("..data/" + name, self.sandbox.path("own/" + name))
        folder = self.sandbox.path("own")
        self.set_up_each(server_tls(common={"tls_certificates": [{
            "certificate_chain": {"filename": folder + "/tls.crt"}, "private_key": {"filename": folder + "/tls.key"}}]}))
        self.assertEqual(self.shown(), first.der)
        os.symlink("v2", self.sandbox.path("own/..next"))
        os.rename(self.sandbox.path("own/..next"), self.sandbox.path("own/..data"))
        self.wait_shown(second)

    # field: Bootstrap.StaticResources.secrets, Secret.tls_certificate, CommonTlsContext.tls_certificate_sds_secret_configs
    def test_named_secret(self) -> None:
        folder = self.sandbox.path("named")
        first, second = self.issue(), self.issue()
        secret = {"name": "own", "tls_certificate": self.put(folder, first)}
        self.set_up_each(server_tls(common={"tls_certificate_sds_secret_configs": [{"name": "own"}]}), [secret])
        self.assertEqual(self.shown(), first.der)
        self.put(folder, second)
        self.wait_shown(second)
        dump = self.weir.admin("/config_dump")
        self.assertIn('"own"', dump)
        self.assertNotIn("PRIVATE KEY", dump)

    # field: SdsSecretConfig.sds_config, PathConfigSource.path
    def test_sds_file(self) -> None:
        first, second = self.issue(), self.issue()

        def sds(identity: Identity) -> str:
            return json.dumps({"resources": [{
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "own",
                "tls_certificate": {"certificate_chain": {"inline_string": identity.pem},
                                    "private_key": {"inline_string": identity.key_pem}}}]})

        path = self.sandbox.write("sds/own.json", sds(first))
        self.set_up_each(server_tls(common={"tls_certificate_sds_secret_configs": [
            {"name": "own", "sds_config": {"path_config_source": {"path": path}}}]}))
        self.assertEqual(self.shown(), first.der)
        failed = self.weir.stat("server.config_reload_failure")
        write_atomically(path, "{")
        self.weir.wait_stat("server.config_reload_failure", failed + 1)
        self.assertEqual(self.shown(), first.der)
        write_atomically(path, sds(second))
        self.wait_shown(second)
        self.assertNotIn("PRIVATE KEY", self.weir.process.log())

    # field: DataSource.environment_variable, DataSource.inline_string
    def test_inline_and_environment(self) -> None:
        own = self.issue()
        os.environ["WEIR_TEST_KEY"] = own.key_pem
        try:
            self.set_up_each(server_tls(common={"tls_certificates": [{
                "certificate_chain": {"inline_string": own.pem}, "private_key": {"environment_variable": "WEIR_TEST_KEY"}}]}))
        finally:
            del os.environ["WEIR_TEST_KEY"]
        self.assertEqual(self.shown(), own.der)
        dump = self.weir.admin("/config_dump")
        self.assertNotIn("PRIVATE KEY", dump)

    def test_certs_page(self) -> None:
        folder = self.sandbox.path("page")
        first, second = self.ca.issue("a.example", "DNS:a.example", "URI:spiffe://x", "IP:10.0.0.1", days=30), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)], **trusts(self.ca)}))
        (entry,) = self.weir.admin_json("/certs")["certificates"]
        (ca,), (chain,) = entry["ca_cert"], entry["cert_chain"]
        self.assertEqual(ca["path"], self.ca.path)
        self.assertEqual(chain["path"], folder + "/tls.crt")
        self.assertEqual(chain["serial_number"], first.serial_hex)
        self.assertEqual(chain["subject_alt_names"], [{"dns": "a.example"}, {"uri": "spiffe://x"}, {"ip_address": "10.0.0.1"}])
        self.assertIn(int(chain["days_until_expiration"]), (29, 30))
        self.assertEqual(chain["expiration_time"], first.certificate.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ"))
        days = "server.days_until_first_cert_expiring"
        self.assertIn(self.weir.stat(days), (29, 30))
        self.put(folder, second)
        self.wait_shown(second)
        self.assertIn(self.weir.stat(days), (89, 90))
        (entry,) = self.weir.admin_json("/certs")["certificates"]
        self.assertEqual(entry["cert_chain"][0]["serial_number"], second.serial_hex)

    def test_a_listener_that_goes_takes_its_context_along(self) -> None:
        folder = self.sandbox.path("gone")
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, self.issue())]}))
        held = TlsConnection(self.port, "a.example", client_context(self.ca))
        held.request()
        write_atomically(self.weir.config_path, json.dumps({"admin": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": 0}}}, "static_resources": {}}))
        self.weir.admin("/reload", "POST")
        wait_until(lambda: self.weir.admin_json("/certs")["certificates"] == [], "no certificates")
        self.assertEqual(held.request().text, "ok")
        held.close()


if __name__ == "__main__":
    main()
