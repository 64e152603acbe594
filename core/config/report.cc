#include "core/config/report.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <filesystem>
#include <system_error>

#include "core/config/field_table.h"
#include "core/config/published_types.h"
#include "core/config/secret_sources.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {

using google::protobuf::Message;

namespace {

const google::protobuf::Descriptor* type_named(const std::string& name) {
  return google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
}

// "an HTTP filter", "a listener filter".
std::string with_article(const std::string& kind) { return (kind.find_first_of("aeioH") == 0 ? "an " : "a ") + kind; }

}  // namespace

Report::Report(const PositionIndex& positions, Diagnostics& diagnostics, UnknownExtensions unknown)
    : positions_(positions), diagnostics_(diagnostics), unknown_(unknown) {
  know_broken(0);
}

void Report::know_broken(size_t first) {
  for (size_t i = first; i < diagnostics_.items().size(); ++i) {
    const Diagnostic& item = diagnostics_.items()[i];
    if (item.severity != Severity::kError) continue;
    broken_.insert(item.path);
    broken_parents_.emplace(parent_path(item.path));
    if (item.is_misnamed_field()) misnamed_in_.emplace(parent_path(item.path));
  }
}

Report::Report(const PositionIndex& positions, Report& main, size_t first_finding)
    : positions_(positions),
      diagnostics_(main.diagnostics_),
      sources_(main.sources_),
      secrets_(main.secrets_),
      unknown_(main.unknown_) {
  know_broken(first_finding);
}

filter::ConfigReport::FoundSecret Report::find_secret(const Message& sds_secret_config, int kind,
                                                      const std::string& path) {
  if (secrets_ == nullptr) return ConfigReport::find_secret(sds_secret_config, kind, path);
  return secrets_->find(sds_secret_config, kind, path, *this);
}

void Report::add_at(const std::string& place, const std::string& path, const std::string& message, Severity severity,
                    const std::string& hint, bool unsupported, const std::string& found) {
  if (!as_one_.empty() && path.starts_with(as_one_) && path != as_one_)
    return add_at(as_one_, as_one_, message, severity, hint, unsupported, found);
  Position position = positions_.find(place);
  const bool error = severity == Severity::kError;
  if (error && broken_.contains(path)) return;
  if (const std::string_view absent = first_absent(positions_, path); !absent.empty()) {
    const std::string around(parent_path(absent));
    if (misnamed_in_.contains(around) ||
        (error && (broken_parents_.contains(std::string(parent_path(path))) || broken_.contains(around))))
      return;
  }
  Diagnostic diagnostic;
  diagnostic.file = std::string(position.file);
  diagnostic.line = position.line;
  diagnostic.column = position.column;
  diagnostic.path = path;
  diagnostic.severity = severity;
  diagnostic.message = hint.empty() ? message : message + "; " + hint;
  diagnostic.found = found;
  diagnostic.hint = hint;
  diagnostic.unsupported = unsupported;
  diagnostics_.add(std::move(diagnostic));
}

void Report::check(const Message& message, const std::string& path, const KnownMessages& known) {
  check_fields(message, path, *this, known);
}

void Report::add_about_type(const std::string& path, const std::string& type, const std::string& message,
                            Severity severity, const std::string& hint) {
  std::string place = path;
  append_path_name(place, "@type");
  add_at(place, path, message, severity, hint, false, shown(type));
}

std::unique_ptr<Message> Report::unpack(const google::protobuf::Any& any, const std::string& path) {
  std::string_view url = any.type_url();
  if (url.empty()) {
    error(path, "must have an @type");
    return nullptr;
  }
  std::string name(url.substr(url.rfind('/') + 1));
  const auto* type = type_named(name);
  if (type == nullptr) {
    const UnknownType said = unknown_type(name);
    add_about_type(path, name, said.text, Severity::kError, said.hint);
    return nullptr;
  }
  std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!message->ParseFromString(any.value())) {
    error(path, unreadable(any, name));
    return nullptr;
  }
  check(*message, path);
  return message;
}

std::optional<std::string> Report::read_source(const Message& source, const std::string& path, SourceLimit limit) {
  const auto& proto = static_cast<const envoy::config::core::v3::DataSource&>(source);
  std::error_code ignored;
  if (proto.has_watched_directory() && !proto.has_filename()) {
    error(path + ".watched_directory", "means something only beside filename: it says where to look for a new version");
  } else if (const std::string& directory = proto.watched_directory().path();
             !directory.empty() && !std::filesystem::is_directory(directory, ignored)) {
    warning(path + ".watched_directory.path",
            directory + " is not a directory now; new versions of the file are noticed when it is one");
  }
  SourceFault fault;
  auto content = read_data_source(proto, limit, fault);
  if (content.has_value()) {
    sources_.add(proto, *content);
  } else {
    error(fault.field.empty() ? path : path + "." + fault.field, fault.message);
    // What is wrong with the file now may be right with its next version.
    if (proto.has_watched_directory()) sources_.add_directory(proto.watched_directory().path());
  }
  return content;
}

bool Report::skip_unknown(const filter::UnknownPlugin& plugin, const google::protobuf::Any& config,
                          const std::string& path) {
  std::string type = extension_type(config);
  if (type.empty()) {
    error(path, "must have an @type");
    return false;
  }
  if (type == "xds.type.v3.TypedStruct" || type == "udpa.type.v1.TypedStruct") {
    add_about_type(path, type, "type_url is missing", Severity::kError,
                   "it says which message `value` is: type_url: type.googleapis.com/...");
    return false;
  }
  bool declared = type_named(type) != nullptr;
  std::string kind(plugin.kind);
  const UnknownType unknown = declared ? UnknownType() : unknown_type(type);
  std::string what = declared ? type + " is not " + with_article(kind) + " of this build" : unknown.text;
  std::string allowed_by = plugin.optional                               ? "is_optional"
                           : unknown_ == UnknownExtensions::kPassthrough ? "--unknown-extensions passthrough"
                                                                         : "";
  std::string_view word = word_of_authority(type);
  if (word.empty()) word = word_of_authority(plugin.name);
  if (allowed_by.empty()) {
    std::string hint = declared ? "weir --list-extensions shows what it has" : unknown.hint;
    // Not of what is probably mistyped, or in a wrong place.
    const bool meant = !declared && (hint.empty() || is_published_type(type));
    if (meant && word.empty() && plugin.may_skip)
      hint += std::string(hint.empty() ? "" : "; ") + "--unknown-extensions passthrough leaves it out";
    add_about_type(path, type, what, Severity::kError, hint);
    return false;
  }
  if (!word.empty()) {
    add_about_type(path, type,
                   what + "; not left out, although " + allowed_by + " would allow it: \"" + std::string(word) +
                       "\" in its name says that it may decide who or what gets through",
                   Severity::kError);
    return false;
  }
  if (!plugin.may_skip) {
    add_about_type(path, type, what + "; it cannot be left out: the last " + kind + " is the one that serves",
                   Severity::kError);
    return false;
  }
  add_about_type(path, type, what + "; this " + kind + " is left out, as " + allowed_by + " allows",
                 Severity::kWarning);
  return true;
}

uint64_t fingerprint(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return std::hash<std::string>{}(bytes);
}

uint64_t combine(uint64_t one, uint64_t other) { return one ^ (other + 0x9e3779b97f4a7c15 + (one << 6) + (one >> 2)); }

}  // namespace weir::config
