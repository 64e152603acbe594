// What a change of the configuration means: from two texts to the plan, through the same translation that the server
// uses.
#include "core/server/change_plan.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "core/config/proto_loader.h"
#include "core/server/change_report.h"
#include "core/server/configuration.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;

class Slots final : public SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    return {kind, names.try_emplace(std::string(name), static_cast<uint32_t>(names.size())).first->second};
  }
  RouteSlot route_slot(const std::string& key, uint64_t) override { return {key, nullptr}; }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

const filter::Registry& registry() {
  static const filter::Registry all = [] {
    filter::RegistryBuilder builder;
    register_built_in_plugins(builder);
    return builder.build();
  }();
  return all;
}

struct Loaded {
  explicit Loaded(const std::string& yaml, const Inventory* in_force = nullptr) {
    config::BootstrapSource source;
    source.overlay = yaml;
    config::load_bootstrap(source, bootstrap, positions, diagnostics);
    configuration =
        translate_bootstrap(bootstrap, positions, Options{}, registry(), store, slots, diagnostics, in_force);
    if (!diagnostics.has_errors()) inventory = inventory_of(configuration, bootstrap, in_force);
  }
  stats::Store store;
  Slots slots;
  config::PositionIndex positions;
  config::Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  Configuration configuration;
  Inventory inventory;
};

struct Parts {
  std::string name = "web", port = "80", listener_more, chain_name = "a", hcm_more, route = "one",
              connect_timeout = "1s", endpoint_port = "81", clusters_more, more, body = "inline_string: hi";
};

std::string yaml(const Parts& parts) {
  const std::string type = "\"@type\": type.googleapis.com/envoy.extensions.filters.";
  return "static_resources: {listeners: [{name: " + parts.name +
         ", address: {socket_address: {address: 127.0.0.1, port_value: " + parts.port + "}}" + parts.listener_more +
         ", filter_chains: [{name: '" + parts.chain_name + "', filters: [{name: hcm, typed_config: {" + type +
         "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: web" + parts.hcm_more +
         ", route_config: {name: table, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {path: /text}, "
         "direct_response: {status: 200, body: {" +
         parts.body + "}}}, {match: {prefix: /}, route: {cluster: " + parts.route +
         "}}]}]}, http_filters: [{name: router, typed_config: {" + type +
         "http.router.v3.Router}}]}}]}]}], clusters: [{name: one, connect_timeout: " + parts.connect_timeout +
         ", load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
         "{address: "
         "127.0.0.1, port_value: " +
         parts.endpoint_port + "}}}}]}]}}" + parts.clusters_more + "]}" + parts.more;
}

// The plan from the default configuration to this one, once from scratch and once as an update.
Plan plan_to(const Parts& parts, const Parts& from = {}) {
  Loaded before(yaml(from));
  Loaded after(yaml(parts));
  Loaded update(yaml(parts), &before.inventory);
  EXPECT_FALSE(before.diagnostics.has_errors()) << before.diagnostics.text();
  EXPECT_FALSE(after.diagnostics.has_errors()) << after.diagnostics.text();
  Plan plan = plan_changes(before.inventory, after.inventory);
  EXPECT_EQ(plan.summary(), plan_changes(before.inventory, update.inventory).summary());
  return plan;
}

TEST(ChangePlan, Nothing) {
  Plan plan = plan_to({});
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.summary(), "nothing changed");
  EXPECT_TRUE(plan.start_only.empty());
}

TEST(ChangePlan, RoutesAloneChangeNoListener) {
  Parts parts;
  parts.route = "two";
  parts.clusters_more = ", {name: two}";
  Plan plan = plan_to(parts);
  EXPECT_TRUE(plan.listeners.empty());
  ASSERT_EQ(plan.routes.size(), 1u);
  EXPECT_TRUE(plan.routes.begin()->first.starts_with("web/"));
  EXPECT_EQ(plan.clusters.at("two").change, Change::kAdded);
  EXPECT_EQ(plan.summary(), "1 route table, 1 cluster changed");
}

TEST(ChangePlan, AChainDrainsIfItsFiltersChange) {
  Parts parts;
  parts.hcm_more = ", server_name: x";
  Plan plan = plan_to(parts);
  EXPECT_EQ(plan.listeners.at("web").drains, std::vector<std::string>{"a"});
  EXPECT_FALSE(plan.listeners.at("web").rebinds);
  EXPECT_TRUE(plan.routes.empty());
  EXPECT_EQ(plan.summary(), "1 listener changed; 1 filter chain drains");
}

TEST(ChangePlan, ListenersSettingsAndAddress) {
  Parts parts;
  parts.listener_more = ", stat_prefix: s, per_connection_buffer_limit_bytes: 4096";
  Plan plan = plan_to(parts);
  EXPECT_EQ(plan.listeners.at("web").change, Change::kChanged);
  EXPECT_TRUE(plan.listeners.at("web").drains.empty());
  EXPECT_FALSE(plan.listeners.at("web").rebinds);
  parts = {};
  parts.port = "82";
  EXPECT_TRUE(plan_to(parts).listeners.at("web").rebinds);
  parts = {};
  parts.listener_more = ", tcp_backlog_size: 10";
  EXPECT_TRUE(plan_to(parts).listeners.at("web").rebinds);
  parts = {};
  parts.name = "other";
  plan = plan_to(parts);
  EXPECT_EQ(plan.listeners.at("web").change, Change::kRemoved);
  EXPECT_EQ(plan.listeners.at("web").drains, std::vector<std::string>{"a"});
  EXPECT_EQ(plan.listeners.at("other").change, Change::kAdded);
  EXPECT_EQ(plan.routes.size(), 2u);
}

TEST(ChangePlan, Clusters) {
  Parts parts;
  parts.endpoint_port = "82";
  ClusterEffect effect = plan_to(parts).clusters.at("one");
  EXPECT_TRUE(effect.hosts && !effect.settings);
  parts = {};
  parts.connect_timeout = "2s";
  effect = plan_to(parts).clusters.at("one");
  EXPECT_TRUE(effect.hosts && effect.settings);
  Parts from;
  from.clusters_more = ", {name: two}";
  EXPECT_EQ(plan_to({}, from).clusters.at("two").change, Change::kRemoved);
}

TEST(ChangePlan, TheOrderOfClustersIsNoChange) {
  Parts from, parts;
  from.clusters_more = ", {name: two}, {name: three}, {name: five}";
  parts.clusters_more = ", {name: five, connect_timeout: 2s}, {name: four}, {name: two}";
  const Plan plan = plan_to(parts, from);
  ASSERT_EQ(plan.clusters.size(), 3u);
  const auto at = [&](const std::string& name) {
    const ClusterEffect& effect = plan.clusters.at(name);
    return std::make_tuple(effect.change, effect.was, effect.is);
  };
  constexpr size_t kNone = ClusterTable::kNone;
  EXPECT_EQ(at("five"), std::make_tuple(Change::kChanged, size_t{3}, size_t{1}));
  EXPECT_EQ(at("four"), std::make_tuple(Change::kAdded, kNone, size_t{2}));
  EXPECT_EQ(at("three"), std::make_tuple(Change::kRemoved, size_t{2}, kNone));

  // What is translated is what may have changed, whatever came before it.
  Loaded before(yaml(from));
  Loaded update(yaml(parts), &before.inventory);
  ASSERT_EQ(update.configuration.clusters.size(), 2u);
  EXPECT_EQ(update.configuration.clusters[0].spec.name, "five");
  EXPECT_EQ(update.configuration.clusters[0].index, 1);
  EXPECT_EQ(update.configuration.clusters[1].index, 2);
  EXPECT_EQ(update.inventory.clusters->digest(), Loaded(yaml(parts)).inventory.clusters->digest());
  ChangeReport report(plan, before.inventory, before.bootstrap, update.inventory, update.bootstrap);
  EXPECT_NE(report.text().find("connect_timeout: + 2s"), std::string::npos) << report.text();
}

TEST(ChangePlan, WhatClustersStandForIsLookedAtAmongThoseThatStay) {
  Parts from, parts;
  const auto group = [](const std::string& name, const std::string& members) {
    return ", {name: " + name +
           ", lb_policy: CLUSTER_PROVIDED, cluster_type: {name: a, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [" +
           members + "]}}}";
  };
  const std::string original = ", {name: asked, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}";
  from.clusters_more = original + group("inner", "one") + group("outer", "inner");
  Loaded before(yaml(from));
  ASSERT_FALSE(before.diagnostics.has_errors()) << before.diagnostics.text();
  const auto said = [&](const std::string& clusters) {
    parts.clusters_more = clusters;
    return Loaded(yaml(parts), &before.inventory).diagnostics.text();
  };
  EXPECT_NE(said(original + group("inner", "one") + group("outer", "asked")).find("is of type ORIGINAL_DST"),
            std::string::npos);
  EXPECT_NE(said(original + group("inner", "outer") + group("outer", "inner")).find("inner -> outer -> inner"),
            std::string::npos);
  EXPECT_EQ(said(original + group("inner", "one") + group("outer", "one, inner")), "");
}

TEST(ChangePlan, SecretsAndWhatOnlyAStartReads) {
  Parts parts;
  parts.more = "\nnode: {id: x}\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}";
  EXPECT_EQ(plan_to(parts).start_only, (std::vector<std::string>{"admin", "node"}));
  EXPECT_TRUE(plan_to(parts).empty());
  EXPECT_TRUE(plan_to(parts, parts).start_only.empty());
  // A list and a scalar.
  const auto with_extensions = [](const std::string& second) {
    Parts out;
    const std::string extension =
        "{name: i, typed_config: {\"@type\": "
        "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener}}";
    out.more = "\nstats_flush_on_admin: true\nbootstrap_extensions: [" + extension + second + extension + "]\n";
    return out;
  };
  EXPECT_EQ(plan_to(with_extensions(", ")).start_only,
            (std::vector<std::string>{"bootstrap_extensions", "stats_flush_on_admin"}));
  EXPECT_EQ(plan_to(with_extensions(", "), with_extensions("]\n#")).start_only,
            (std::vector<std::string>{"bootstrap_extensions"}))
      << "two and one";
  EXPECT_TRUE(plan_to(with_extensions(", "), with_extensions(", ")).start_only.empty());
  Parts from;
  from.clusters_more = "], secrets: [{name: s, generic_secret: {secret: {inline_string: a}}}";
  parts = {};
  parts.clusters_more = "], secrets: [{name: s, generic_secret: {secret: {inline_string: b}}}";
  EXPECT_EQ(plan_to(parts, from).secrets.at({"s", SecretProto::kGenericSecret}), Change::kChanged);
  EXPECT_TRUE(plan_to(from, from).empty());
}

TEST(ChangePlan, WhatIsTheSameIsNotTranslatedAgain) {
  Loaded first(yaml({}));
  Loaded second(yaml({}), &first.inventory);
  EXPECT_TRUE(second.configuration.listeners[0].unchanged);
  EXPECT_TRUE(second.configuration.clusters.empty());
  EXPECT_TRUE(second.configuration.routes.empty());
  EXPECT_TRUE(plan_changes(first.inventory, second.inventory).empty());

  // A route may lead to what goes: the listener is looked at again, and the fault is found.
  Parts parts;
  parts.clusters_more = ", {name: two}";
  parts.route = "two";
  Loaded both(yaml(parts));
  parts.clusters_more.clear();
  Loaded gone(yaml(parts), &both.inventory);
  EXPECT_TRUE(gone.diagnostics.has_errors());
}

TEST(ChangePlan, FilesThatWereReadAreLookedAtAgain) {
  char path[] = "/tmp/weir-plan-XXXXXX";
  ASSERT_GE(mkstemp(path), 0);
  std::ofstream(path) << "one";
  Parts parts;
  parts.body = "filename: " + std::string(path) + ", watched_directory: {path: /tmp}";
  Loaded first(yaml(parts));
  ASSERT_FALSE(first.diagnostics.has_errors()) << first.diagnostics.text();
  EXPECT_EQ(first.configuration.watched, std::set<std::string>{"/tmp"});
  EXPECT_TRUE(plan_changes(first.inventory, Loaded(yaml(parts), &first.inventory).inventory).empty());
  std::ofstream(path) << "two";
  Plan plan = plan_changes(first.inventory, Loaded(yaml(parts), &first.inventory).inventory);
  EXPECT_EQ(plan.summary(), "1 route table changed");
  std::remove(path);
}

TEST(ChangePlan, RuntimeIsSwappedByAReload) {
  const auto with = [](int value) {
    Parts parts;
    parts.more = "\nlayered_runtime: {layers: [{name: l, static_layer: {x: " + std::to_string(value) + "}}]}\n";
    return yaml(parts);
  };
  Loaded before(with(1)), after(with(2));
  ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                      after.inventory, after.bootstrap);
  EXPECT_TRUE(report.text().starts_with("runtime    layered_runtime  changed  swapped, nothing drains\n"))
      << report.text();
  EXPECT_TRUE(report.text().ends_with("\n1 change, nothing drains\n")) << report.text();
}

TEST(ChangePlan, TheClusterThatWeirIsOfIsSwapped) {
  Parts parts;
  parts.more = "\ncluster_manager: {local_cluster_name: one}\n";
  Loaded before(yaml({})), after(yaml(parts));
  const Plan plan = plan_changes(before.inventory, after.inventory);
  EXPECT_FALSE(plan.empty());
  EXPECT_EQ(plan.summary(), "cluster_manager changed");
  const ChangeReport report(plan, before.inventory, before.bootstrap, after.inventory, after.bootstrap);
  EXPECT_TRUE(report.text().starts_with("clusters   cluster_manager  added    swapped, nothing drains\n"))
      << report.text();
}

TEST(ChangePlan, SecretsOfOneNameAreToldApart) {
  const auto text = [](const std::string& before, const std::string& after) {
    const auto with = [](const std::string& secrets) {
      Parts parts;
      parts.clusters_more = "], secrets: [" + secrets;
      return yaml(parts);
    };
    Loaded was(with(before)), is(with(after));
    return ChangeReport(plan_changes(was.inventory, is.inventory), was.inventory, was.bootstrap, is.inventory,
                        is.bootstrap)
        .text();
  };
  const std::string a = "{name: s, generic_secret: {secret: {inline_string: a}}}";
  const std::string b = "{name: s, generic_secret: {secret: {inline_string: b}}}";
  const std::string keys =
      ", {name: s, session_ticket_keys: {keys: [{inline_bytes: \"" + std::string(108, 'A') + "\"}]}}";
  EXPECT_TRUE(text(a, b).starts_with("secret     s  ")) << text(a, b);
  EXPECT_TRUE(text(a + keys, b + keys).starts_with("secret     s (generic_secret)  ")) << text(a + keys, b + keys);
  EXPECT_TRUE(text(a, a + keys).starts_with("secret     s (session_ticket_keys)  ")) << text(a, a + keys);
}

TEST(ChangePlan, WhatGoesWithAChainThatDrains) {
  Parts from, parts;
  from.clusters_more = ", {name: two}";
  parts.chain_name = "b";
  Loaded before(yaml(from)), after(yaml(parts));
  const std::string text = ChangeReport(plan_changes(before.inventory, after.inventory), before.inventory,
                                        before.bootstrap, after.inventory, after.bootstrap)
                               .text();
  EXPECT_NE(text.find("drains its connections"), std::string::npos) << text;
  EXPECT_EQ(text.find("nothing drains"), std::string::npos) << text;
  EXPECT_NE(text.find("web/b (table)  added    with its chain\n"), std::string::npos) << text;
  EXPECT_NE(text.find("two            removed  when all that drains has ended\n"), std::string::npos) << text;
}

TEST(ChangePlan, ASocketThatHoldsItsAddressStays) {
  Parts parts;
  parts.listener_more = ", enable_reuse_port: false";
  Loaded before(yaml({})), after(yaml(parts));
  ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                      after.inventory, after.bootstrap);
  EXPECT_NE(report.text().find("changed  refused: 127.0.0.1:80: the options of its socket (enable_reuse_port"),
            std::string::npos)
      << report.text();
  EXPECT_TRUE(report.refused());
  EXPECT_TRUE(report.text().ends_with("\na reload is refused, and changes nothing\n")) << report.text();
  // Not of another address.
  parts.port = "82";
  Loaded elsewhere(yaml(parts));
  EXPECT_FALSE(address_is_held(before.inventory.listeners.at("web"), elsewhere.inventory.listeners.at("web")));
  // Nor where several sockets share it.
  parts = {};
  parts.listener_more = ", tcp_backlog_size: 10";
  Loaded shared(yaml(parts));
  EXPECT_FALSE(address_is_held(before.inventory.listeners.at("web"), shared.inventory.listeners.at("web")));
  parts.listener_more += ", enable_reuse_port: false";
  Loaded alone(yaml(parts));
  EXPECT_TRUE(address_is_held(after.inventory.listeners.at("web"), alone.inventory.listeners.at("web")));
}

TEST(ChangePlan, AnAddressThatAnotherListenerHolds) {
  const auto refused = [](const Loaded& before, const Loaded& after) {
    ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                        after.inventory, after.bootstrap);
    return report.refused() ? report.text() : "";
  };
  Parts parts;
  Loaded before(yaml(parts));
  parts.name = "other";
  Loaded renamed(yaml(parts));
  EXPECT_EQ(refused(before, renamed), "");
  parts.listener_more = ", enable_reuse_port: false";
  Loaded alone(yaml(parts));
  EXPECT_NE(refused(before, alone)
                .find("other  added    refused: 127.0.0.1:80: a listener that this update changes or removes holds it "
                      "until then: do it in two steps\n"),
            std::string::npos)
      << refused(before, alone);
  // With equal options it goes on with the socket.
  parts.name = "web";
  Loaded was_alone(yaml(parts));
  EXPECT_EQ(refused(was_alone, alone), "");
}

TEST(ChangePlan, Report) {
  Parts parts;
  parts.hcm_more = ", server_name: x";
  parts.endpoint_port = "82";
  Loaded before(yaml({})), after(yaml(parts));
  ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                      after.inventory, after.bootstrap);
  EXPECT_EQ(report.text(),
            "listener   web  changed  a drains its connections\n"
            "  filter_chains[0].filters[0].typed_config.server_name: + x\n"
            "cluster    one  changed  hosts swapped; connections to hosts that are gone close when idle\n"
            "  load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: 81 -> 82\n"
            "2 changes, 1 filter chain drains\n");
}

TEST(ChangePlan, ReportOfTransportSockets) {
  Loaded same(yaml({}));
  Plan plan;
  plan.transports.emplace("t", Change::kChanged);
  same.inventory.transports["t"].owner = "listener web";
  EXPECT_EQ(ChangeReport(plan, same.inventory, same.bootstrap, same.inventory, same.bootstrap).text(),
            "transport socket  of listener web  changed  for new connections; those that are open stay\n"
            "1 change, nothing drains\n");

  // Where a chain drains, it is not said that its connections stay.
  Parts parts;
  parts.hcm_more = ", server_name: x";
  Loaded after(yaml(parts));
  plan = plan_changes(same.inventory, after.inventory);
  plan.transports = {{"t", Change::kChanged}};
  after.inventory.transports["t"].owner = "listener web";
  EXPECT_EQ(ChangeReport(plan, same.inventory, same.bootstrap, after.inventory, after.bootstrap).text(),
            "listener          web              changed  a drains its connections\n"
            "  filter_chains[0].filters[0].typed_config.server_name: + x\n"
            "transport socket  of listener web  changed  for new connections\n"
            "2 changes, 1 filter chain drains\n");
}

}  // namespace
}  // namespace weir::server
