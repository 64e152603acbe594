"""stats_config of the bootstrap: which statistics there are, their labels, and the buckets of histograms."""

import json
import re
import subprocess
from typing import Any, Optional

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, to_yaml, weir_binary)


class StatsConfigTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def serve(self, stats_config: Optional[dict[str, Any]], *arguments: str) -> Weir:
        """A proxy that has served a request."""
        port = self.sandbox.free_port()
        config = bootstrap([http_listener(port, [route({"prefix": "/"}, "api_prod")], name="front")],
                           [cluster("api_prod", self.echo.port), cluster("spare_test", self.echo.port)])
        if stats_config is not None:
            config["stats_config"] = stats_config
        weir = Weir(self.sandbox, config, concurrency=1, arguments=list(arguments))
        self.assertEqual(fetch(port).status, 200)
        return weir

    @staticmethod
    def names(weir: Weir) -> set[str]:
        return {line.split(": ")[0] for line in weir.admin("/stats").splitlines()}

    # field: Bootstrap.stats_config, StatsConfig.stats_matcher, StatsMatcher.exclusion_list, ListStringMatcher.patterns
    def test_exclusion(self) -> None:
        weir = self.serve({"stats_matcher": {"exclusion_list": {"patterns": [
            {"prefix": "cluster.spare_test."}, {"suffix": "upstream_rq_time"}, {"exact": "cluster.api_prod.upstream_rq_200"},
            {"safe_regex": {"regex": "listener\\..*"}}, {"exact": "server.uptime"}]}}})
        names = self.names(weir)
        for name in ("cluster.api_prod.upstream_rq_total", "cluster.api_prod.upstream_rq_2xx", "http.ingress.downstream_rq_total", "server.live"):
            self.assertIn(name, names)
        gone = [name for name in names if name.startswith(("cluster.spare_test.", "listener.")) or name.endswith("upstream_rq_time")]
        self.assertEqual(gone, [])
        self.assertFalse(names & {"cluster.api_prod.upstream_rq_200", "server.uptime"})
        scrape = weir.admin("/stats/prometheus")
        self.assertNotIn("spare_test", scrape)
        self.assertNotIn("upstream_rq_time_", scrape)
        self.assertIn('envoy_cluster_upstream_rq_total{envoy_cluster_name="api_prod"} 1\n', scrape)

    # field: StatsMatcher.inclusion_list
    def test_inclusion(self) -> None:
        weir = self.serve({"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "cluster.api_prod.upstream_rq_"}, {"contains": "server.live"}]}}})
        names = self.names(weir)
        self.assertIn("cluster.api_prod.upstream_rq_200", names)
        self.assertEqual({name for name in names if not name.startswith("cluster.api_prod.upstream_rq_")}, {"server.live"})

    # field: StatsMatcher.reject_all
    def test_none(self) -> None:
        self.assertEqual(self.serve({"stats_matcher": {"reject_all": True}}).admin("/stats"), "")
        self.assertIn("server.live", self.names(self.serve({"stats_matcher": {"reject_all": False}})))

    # field: StatsConfig.stats_tags, TagSpecifier.tag_name, TagSpecifier.regex, TagSpecifier.fixed_value
    def test_tags(self) -> None:
        weir = self.serve({"stats_tags": [
            {"tag_name": "stage", "regex": "^cluster\\.[^.]+?(_(prod|test))\\."}, {"tag_name": "my.pod", "fixed_value": "p7"},
            {"tag_name": "kind", "regex": r"\.upstream_(cx|rq)_total$"}]}, "--stats-tag", "zone:z1")
        scrape = weir.admin("/stats/prometheus")
        self.assertIn('envoy_cluster_upstream_rq_retry{zone="z1",envoy_cluster_name="api_prod",stage="prod",my_pod="p7"} 0\n', scrape)
        self.assertIn('envoy_cluster_upstream_rq_retry{zone="z1",envoy_cluster_name="spare_test",stage="test",my_pod="p7"} 0\n', scrape)
        # What the pattern takes is no part of the name, and beside it the rest of the name stays.
        self.assertIn('envoy_cluster_upstream__total{zone="z1",envoy_cluster_name="api_prod",stage="prod",kind="rq",my_pod="p7"} 1\n', scrape)
        self.assertIn('envoy_server_live{zone="z1",my_pod="p7"} 1\n', scrape)
        self.assertIn("cluster.api_prod.upstream_rq_total: 1\n", weir.admin("/stats"))  # names are what they are

    # field: StatsConfig.use_all_default_tags
    def test_tags_by_choice(self) -> None:
        weir = self.serve({"use_all_default_tags": False, "stats_tags": [
            {"tag_name": "envoy.response_code"}, {"tag_name": "who", "regex": "^cluster\\.((.+?)_(?:prod|test)\\.)"}]})
        scrape = weir.admin("/stats/prometheus")
        self.assertIn('envoy_cluster_upstream_rq{envoy_response_code="200",who="api"} 1\n', scrape)
        self.assertIn('envoy_cluster_upstream_rq_2xx{who="api"} 1\n', scrape)
        self.assertIn("envoy_http_ingress_downstream_rq_total{} 1\n", scrape)
        self.assertIn('envoy_cluster_name="api_prod"', self.serve({"use_all_default_tags": True}).admin("/stats/prometheus"))

    # field: StatsConfig.histogram_bucket_settings, HistogramBucketSettings.match, HistogramBucketSettings.buckets
    def test_buckets(self) -> None:
        weir = self.serve({"histogram_bucket_settings": [
            {"match": {"prefix": "cluster.api_prod.upstream_rq"}, "buckets": [60000, 7, 0.25]}, {"match": {"prefix": "cluster."}, "buckets": [3]}]})
        scrape = weir.admin("/stats/prometheus")

        def bounds(name: str, labels: str) -> list[str]:
            return re.findall(r'%s_bucket\{%s,le="([^"]+)"\}' % (name, labels), scrape)

        self.assertEqual(bounds("envoy_cluster_upstream_rq_time", 'envoy_cluster_name="api_prod"'), ["0.25", "7", "60000", "+Inf"])
        self.assertEqual(bounds("envoy_cluster_upstream_cx_connect_ms", 'envoy_cluster_name="api_prod"'), ["3", "+Inf"])
        self.assertEqual(len(bounds("envoy_http_downstream_rq_time", 'envoy_http_conn_manager_prefix="ingress"')), 20)
        shown = json.loads(weir.admin("/stats?format=json&histogram_buckets=cumulative&filter=api_prod.upstream_rq_time$"))
        buckets = shown["stats"][0]["histograms"][0]["buckets"]
        self.assertEqual([one["upper_bound"] for one in buckets], [0.25, 7, 60000])
        self.assertEqual(buckets[-1]["cumulative"], 1)

    def test_what_is_not_possible(self) -> None:
        def fault(*tags: dict[str, Any], **fields: Any) -> str:
            path = self.sandbox.path("wrong.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(to_yaml({**bootstrap([]), "stats_config": {"stats_tags": list(tags), **fields}}) + "\n")
            done = subprocess.run([weir_binary(), "-c", path, "--mode", "validate", "--stats-tag", "pod:p"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            return done.stdout

        self.assertIn("the pattern has no group", fault({"tag_name": "a", "regex": "x"}))
        self.assertIn("stats_tags[0].regex", fault({"tag_name": "a", "regex": "(?<x)(y)"}))
        self.assertIn("needs a regex or a fixed_value", fault({"tag_name": "a"}))
        self.assertIn("must not be empty", fault({"regex": "(x)"}))
        self.assertIn("is that of stats_tags[0], too", fault({"tag_name": "a", "fixed_value": "1"}, {"tag_name": "a", "regex": "(x)"}))
        self.assertIn("is that of --stats-tag, too", fault({"tag_name": "pod", "fixed_value": "1"}))
        self.assertIn("is one of the tags that are always there", fault({"tag_name": "envoy.cluster_name", "regex": "(x)"}))


if __name__ == "__main__":
    main()
