#include "extensions/access_loggers/common/log_format.h"

#include "core/event/lane.h"
#include "core/filter/config_translator.h"

namespace weir::extensions::access_loggers {
namespace {

class DefaultLogger final : public stream::AccessLogger {
 public:
  explicit DefaultLogger(std::shared_ptr<stream::LogFile> file) : file_(std::move(file)) {}
  void log(const stream::LogSubject& subject, event::Lane& lane) const override {
    format_.append(subject, file_->begin_line(lane.index()));
    file_->end_line(lane.index());
  }

 private:
  const std::shared_ptr<stream::LogFile> file_;
  const stream::Format& format_ = stream::Format::default_access_log();
};

template <class F>
class LineLogger final : public stream::AccessLogger {
 public:
  LineLogger(std::shared_ptr<stream::LogFile> file, F format) : file_(std::move(file)), format_(std::move(format)) {}
  void log(const stream::LogSubject& subject, event::Lane& lane) const override {
    format_.append(subject, file_->begin_line(lane.index()));
    file_->end_line(lane.index());
  }

 private:
  const std::shared_ptr<stream::LogFile> file_;
  const F format_;
};

}  // namespace

std::optional<LineFormat> make_text_format(std::string_view text, bool omit_empty, filter::FactoryScope scope) {
  stream::Format::Options options;
  options.omit_empty = omit_empty;
  auto format = stream::Format::compile(text, options);
  if (format.ok()) return LineFormat(std::move(*format));
  scope.error("", message_of(format.status()));
  return std::nullopt;
}

std::optional<LineFormat> make_json_format(const google::protobuf::Struct& proto, bool omit_empty,
                                           filter::FactoryScope scope) {
  return scope.translator().json_format(proto, {.omit_empty = omit_empty}, scope.path());
}

std::optional<LineFormat> make_format(const envoy::config::core::v3::SubstitutionFormatString& proto,
                                      filter::FactoryScope scope) {
  return scope.translator().line_format(proto, {}, scope.path());
}

std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file) {
  return std::make_shared<DefaultLogger>(std::move(file));
}

std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file, LineFormat format) {
  return std::visit(
      [&](auto& one) -> std::shared_ptr<const stream::AccessLogger> {
        return std::make_shared<LineLogger<std::remove_reference_t<decltype(one)>>>(std::move(file), std::move(one));
      },
      format);
}

}  // namespace weir::extensions::access_loggers
