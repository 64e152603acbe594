#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/crypto/certificate.h"
#include "core/filter/transport_socket.h"
#include "core/match/regex.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/server/admin/load_assignment.h"
#include "core/server/admin/redact.h"
#include "envoy/admin/v3/certs.pb.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/admin/v3/config_dump_shared.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "google/protobuf/util/field_mask_util.h"

namespace weir::admin {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::FieldMask;
using google::protobuf::Message;
using google::protobuf::util::FieldMaskUtil;

void pack_redacted(const Message& message, Any& out) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  redact(*copy);
  out.PackFrom(*copy);
}

using Sections = std::vector<std::unique_ptr<Message>>;

class DumpBuilder {
 public:
  DumpBuilder(ConfigSnapshot& config, const match::Regex* names) : config_(config), names_(names) {}

  // In the published order: by the names of the sections. `endpoints`: nullptr, or one of them.
  Sections sections(std::unique_ptr<Message> endpoints) {
    Sections all;
    if (names_ == nullptr) all.push_back(bootstrap());
    all.push_back(clusters());
    if (endpoints != nullptr) all.push_back(std::move(endpoints));
    all.push_back(listeners());
    all.push_back(routes());
    all.push_back(secrets());
    return all;
  }

 private:
  std::unique_ptr<Message> bootstrap() {
    auto dump = std::make_unique<envoy::admin::v3::BootstrapConfigDump>();
    *dump->mutable_bootstrap() = config_.bootstrap();
    redact(*dump->mutable_bootstrap());
    set_time(config_.loaded_at(), *dump->mutable_last_updated());
    return dump;
  }
  std::unique_ptr<Message> clusters() {
    auto dump = std::make_unique<envoy::admin::v3::ClustersConfigDump>();
    each(ResourceKind::kCluster, [&](const ResourceView& resource) {
      if (resource.dynamic)
        return fill(resource, *dump->add_dynamic_active_clusters(), [](auto& to) { return to.mutable_cluster(); });
      fill_static(resource, *dump->add_static_clusters(), [](auto& to) { return to.mutable_cluster(); });
    });
    return dump;
  }
  std::unique_ptr<Message> listeners() {
    auto dump = std::make_unique<envoy::admin::v3::ListenersConfigDump>();
    each(ResourceKind::kListener, [&](const ResourceView& resource) {
      if (resource.dynamic) {
        auto& listener = *dump->add_dynamic_listeners();
        listener.set_name(std::string(resource.name));
        return fill(resource, *listener.mutable_active_state(), [](auto& to) { return to.mutable_listener(); });
      }
      fill_static(resource, *dump->add_static_listeners(), [](auto& to) { return to.mutable_listener(); });
    });
    return dump;
  }
  std::unique_ptr<Message> routes() {
    auto dump = std::make_unique<envoy::admin::v3::RoutesConfigDump>();
    each(ResourceKind::kRouteConfig, [&](const ResourceView& resource) {
      if (resource.dynamic)
        return fill(resource, *dump->add_dynamic_route_configs(), [](auto& to) { return to.mutable_route_config(); });
      fill_static(resource, *dump->add_static_route_configs(), [](auto& to) { return to.mutable_route_config(); });
    });
    return dump;
  }
  std::unique_ptr<Message> secrets() {
    auto dump = std::make_unique<envoy::admin::v3::SecretsConfigDump>();
    each(ResourceKind::kSecret, [&](const ResourceView& resource) {
      if (resource.dynamic) {
        auto& secret = *dump->add_dynamic_active_secrets();
        secret.set_name(std::string(resource.name));
        return fill(resource, secret, [](auto& to) { return to.mutable_secret(); });
      }
      auto& secret = *dump->add_static_secrets();
      secret.set_name(std::string(resource.name));
      fill_static(resource, secret, [](auto& to) { return to.mutable_secret(); });
    });
    return dump;
  }

  void each(ResourceKind kind, const std::function<void(const ResourceView&)>& visit) {
    config_.for_each_resource(kind, [&](const ResourceView& resource) {
      if (names_ == nullptr || names_->full_match(resource.name)) visit(resource);
    });
  }
  template <class Entry, class Place>
  void fill_static(const ResourceView& resource, Entry& entry, Place place) {
    pack_redacted(resource.message, *place(entry));
    set_time(resource.last_updated, *entry.mutable_last_updated());
  }
  template <class Entry, class Place>
  void fill(const ResourceView& resource, Entry& entry, Place place) {
    fill_static(resource, entry, place);
    entry.set_version_info(std::string(resource.version));
  }

  ConfigSnapshot& config_;
  const match::Regex* names_;
};

void add_endpoints(const ClusterView& cluster, envoy::admin::v3::EndpointsConfigDump& dump) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  fill_load_assignment(cluster, assignment);
  if (cluster.added_via_api) {
    pack_redacted(assignment, *dump.add_dynamic_endpoint_configs()->mutable_endpoint_config());
  } else {
    pack_redacted(assignment, *dump.add_static_endpoint_configs()->mutable_endpoint_config());
  }
}

// "?resource=static_clusters": the items of that list alone.
bool choose_resource(const std::vector<std::unique_ptr<Message>>& sections, std::string_view resource,
                     std::vector<std::unique_ptr<Message>>& out, AdminResponse& response) {
  std::string known;
  for (const auto& section : sections) {
    for (int i = 0; i < section->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = section->GetDescriptor()->field(i);
      if (!field->is_repeated()) continue;
      known += (known.empty() ? "" : ", ") + field->name();
      if (field->name() != resource) continue;
      for (int j = 0; j < section->GetReflection()->FieldSize(*section, field); ++j) {
        const Message& item = section->GetReflection()->GetRepeatedMessage(*section, field, j);
        out.emplace_back(item.New())->CopyFrom(item);
      }
      return true;
    }
  }
  response.fail(404, "resource: \"" + std::string(resource) + "\" is not one of " + known + "\n");
  return false;
}

// False: a path begins with what no section has.
bool check_mask(const FieldMask& mask, const std::vector<std::unique_ptr<Message>>& sections, AdminResponse& response) {
  for (const std::string& path : mask.paths()) {
    const std::string first = path.substr(0, path.find('.'));
    std::set<std::string> known;
    for (const auto& section : sections) {
      for (int i = 0; i < section->GetDescriptor()->field_count(); ++i)
        known.insert(section->GetDescriptor()->field(i)->name());
    }
    if (known.empty() || known.contains(first)) continue;
    std::string all;
    for (const std::string& name : known) (all += all.empty() ? "" : ", ") += name;
    response.fail(400, "mask: \"" + first + "\" is not one of " + all + "\n");
    return false;
  }
  return true;
}

// What the mask does not name goes. A mask into an Any looks at the message inside.
void trim(Message& message, const FieldMask& mask) {
  FieldMask own;
  for (const std::string& path : mask.paths()) {
    std::string first = path.substr(0, path.find('.'));
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(first);
    if (field == nullptr) continue;
    if (first.size() == path.size() || field->message_type() == nullptr ||
        field->message_type()->full_name() != "google.protobuf.Any") {
      if (FieldMaskUtil::GetFieldDescriptors(message.GetDescriptor(), path, nullptr)) own.add_paths(path);
      continue;
    }
    own.add_paths(first);
    if (field->is_repeated() || !message.GetReflection()->HasField(message, field)) continue;
    auto& any = static_cast<Any&>(*message.GetReflection()->MutableMessage(&message, field));
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
        any.type_url().substr(any.type_url().rfind('/') + 1));
    if (type == nullptr) continue;
    std::unique_ptr<Message> inner(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    if (!inner->ParseFromString(any.value())) continue;
    FieldMask below;
    for (const std::string& other : mask.paths()) {
      if (other.starts_with(first + ".")) below.add_paths(other.substr(first.size() + 1));
    }
    trim(*inner, below);
    any.set_value(inner->SerializeAsString());
  }
  if (own.paths_size() == 0) {
    message.Clear();  // TrimMessage() takes an empty mask for everything
  } else {
    FieldMaskUtil::TrimMessage(own, &message);
  }
}

// One entry for each context, as published.
class CertificateList final : public filter::CertificateVisitor {
 public:
  CertificateList(envoy::admin::v3::Certificates& to, WallTime now) : to_(to), now_(now) {}
  void begin() { entry_ = nullptr; }
  void trusted(const filter::CertificateInUse& one) override { fill(one, *entry().add_ca_cert()); }
  void own(std::span<const filter::CertificateInUse> chain) override {
    for (const filter::CertificateInUse& one : chain) fill(one, *entry().add_cert_chain());
  }

 private:
  envoy::admin::v3::Certificate& entry() {
    if (entry_ == nullptr) entry_ = to_.add_certificates();
    return *entry_;
  }
  void fill(const filter::CertificateInUse& one, envoy::admin::v3::CertificateDetails& to) const {
    to.set_path(std::string(one.origin == "inline" ? "<inline>" : one.origin));
    const crypto::Certificate& certificate = one.certificate;
    to.set_serial_number(certificate.serial_hex());
    for (const std::string& name : certificate.dns_names()) to.add_subject_alt_names()->set_dns(name);
    for (const std::string& name : certificate.uris()) to.add_subject_alt_names()->set_uri(name);
    for (const std::string& name : certificate.ip_addresses()) to.add_subject_alt_names()->set_ip_address(name);
    const auto left = std::chrono::duration_cast<std::chrono::days>(certificate.not_after() - now_).count();
    to.set_days_until_expiration(left > 0 ? static_cast<uint64_t>(left) : 0);
    set_time(certificate.not_before(), *to.mutable_valid_from());
    set_time(certificate.not_after(), *to.mutable_expiration_time());
    if (one.ocsp_this_update) set_time(*one.ocsp_this_update, *to.mutable_ocsp_details()->mutable_valid_from());
    if (one.ocsp_next_update) set_time(*one.ocsp_next_update, *to.mutable_ocsp_details()->mutable_expiration());
  }

  envoy::admin::v3::Certificates& to_;
  const WallTime now_;
  envoy::admin::v3::Certificate* entry_ = nullptr;
};

envoy::admin::v3::Certificates certificates_in_use(const AdminSource& source) {
  envoy::admin::v3::Certificates all;
  CertificateList list(all, system_clock().wall_now());
  source.for_each_transport([&](const filter::TransportSocket& transport) {
    list.begin();
    transport.list_certificates(list);
  });
  return all;
}

// What is asked for, and what main had to say about it.
struct DumpJob {
  std::optional<match::Regex> names;
  std::optional<std::string> resource, mask;
  std::shared_ptr<ConfigSnapshot> config;
  std::unique_ptr<envoy::admin::v3::EndpointsConfigDump> endpoints;
  std::string after;  // the cluster whose endpoints came last
};

void make_dump(DumpJob& job, AdminResponse& response) {
  Sections sections =
      DumpBuilder(*job.config, job.names.has_value() ? &*job.names : nullptr).sections(std::move(job.endpoints));
  job.config = nullptr;
  if (job.resource.has_value()) {
    Sections chosen;
    if (!choose_resource(sections, *job.resource, chosen, response)) return;
    sections = std::move(chosen);
  }
  FieldMask mask;
  if (job.mask.has_value()) {
    FieldMaskUtil::FromString(*job.mask, &mask);
    if (!check_mask(mask, sections, response)) return;
  }
  envoy::admin::v3::ConfigDump dump;
  for (auto& section : sections) {
    if (job.mask.has_value()) trim(*section, mask);
    dump.add_configs()->PackFrom(*section);
    section.reset();
  }
  answer_json(dump, Defaults::kOmit, response);
}

void config_dump(const AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  auto job = std::make_shared<DumpJob>();
  if (auto pattern = request.get("name_regex"); pattern.has_value() && !pattern->empty()) {
    auto regex = match::Regex::compile(*pattern);
    if (!regex.ok()) return response.fail(400, "name_regex: " + message_of(regex.status()) + "\n");
    job->names.emplace(std::move(*regex));
  }
  job->resource = request.get("resource");
  job->mask = request.get("mask");
  job->config = source.config_snapshot();
  if (request.has("include_eds")) {
    job->endpoints = std::make_unique<envoy::admin::v3::EndpointsConfigDump>();
    response.prepare = [&source, job] {
      return source.next_clusters(job->after, [&](const ClusterView& cluster) {
        if (!job->names.has_value() || job->names->full_match(cluster.name)) add_endpoints(cluster, *job->endpoints);
      });
    };
  }
  response.work = [job](AdminResponse& to) { make_dump(*job, to); };
}

}  // namespace

void add_config_endpoints(AdminServer& server, AdminSource& source) {
  server.add(
      "/config_dump",
      {.help = "the configuration in force, as JSON, without secrets",
       .parameters = {{"resource=FIELD", "one list only: static_clusters, dynamic_listeners, ..."},
                      {"mask=FIELDS", "these fields only"},
                      {"name_regex=REGEX", "resources of these names only"},
                      {"include_eds", "the hosts of every cluster too, as they are now"}},
       .formats = {"json"}},
      [&source](const AdminRequest& request, AdminResponse& response) { config_dump(source, request, response); });
  server.add("/certs", {.help = "certificates in use, as JSON", .formats = {"json"}},
             [&source](const AdminRequest&, AdminResponse& response) {
               answer_json(certificates_in_use(source), Defaults::kPrint, response);
             });
}

}  // namespace weir::admin
