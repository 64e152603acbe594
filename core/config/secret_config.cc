#include "core/config/secret_config.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <vector>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::DataSource;
using envoy::config::core::v3::WatchedDirectory;
using envoy::extensions::transport_sockets::tls::v3::Secret;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxSecretBytes = size_t{1} << 20;

// Puts content in the place of every source below `message`.
void resolve(Message& message, std::string& path, Report& report) {
  if (auto* source = google::protobuf::DynamicCastToGenerated<DataSource>(&message)) {
    auto content = report.read_source(*source, path, kMaxSecretBytes);
    source->Clear();
    if (content.has_value()) source->set_inline_bytes(*content);
    return;
  }
  if (auto* directory = google::protobuf::DynamicCastToGenerated<WatchedDirectory>(&message)) {
    report.sources().add_directory(directory->path());
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const size_t size = path.size();
    append_path_name(path, field->name());
    if (!field->is_repeated()) resolve(*message.GetReflection()->MutableMessage(&message, field), path, report);
    const size_t at_field = path.size();
    for (int i = 0; field->is_repeated() && i < message.GetReflection()->FieldSize(message, field); ++i) {
      Message& item = *message.GetReflection()->MutableRepeatedMessage(&message, field, i);
      if (field->is_map()) {
        append_path_name(path, item.GetReflection()->GetString(item, item.GetDescriptor()->map_key()));
        resolve(*item.GetReflection()->MutableMessage(&item, item.GetDescriptor()->map_value()), path, report);
      } else {
        append_path_item(path, static_cast<size_t>(i));
        resolve(item, path, report);
      }
      path.resize(at_field);
    }
    path.resize(size);
  }
}

}  // namespace

SecretKey key_of(const Secret& secret) { return {secret.name(), static_cast<int>(secret.type_case())}; }

std::optional<SecretTranslation> translate_secret(const Secret& proto, const std::string& path, Report& report) {
  const size_t before = report.errors();
  if (proto.name().empty()) report.error(path + ".name", "must not be empty: it is what others refer to");
  if (proto.type_case() == Secret::TYPE_NOT_SET) {
    report.error(path, "needs one of tls_certificate, session_ticket_keys, validation_context, generic_secret");
  }
  const uint64_t mark = report.sources().digest();
  auto content = std::make_shared<Secret>(proto);
  std::string at = path;
  resolve(*content, at, report);
  const uint64_t read = report.sources().take_since(mark);
  if (report.errors() != before) return std::nullopt;
  return SecretTranslation{key_of(proto), std::move(content), combine(fingerprint(proto), read)};
}

}  // namespace weir::config
