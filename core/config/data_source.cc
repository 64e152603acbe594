#include "core/config/data_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string_view>

#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::DataSource;

std::string allowed(SourceLimit limit) {
  std::string text = "; at most " + std::to_string(limit.bytes) + " are allowed";
  return *limit.set_by != '\0' ? text + " (" + limit.set_by + ")" : text;
}

}  // namespace

std::optional<std::string> read_bounded_file(const std::string& path, SourceLimit limit, std::string& why) {
  auto failed = [&](const char* reason) {
    // Somebody's key, perhaps, that stands where its name should.
    const bool is_content = path.find('\n') != std::string::npos || path.find("-----BEGIN") != std::string::npos;
    why = is_content ? "is what stands in a file, and not its name; use inline_string for that"
                     : "cannot read " + path + ": " + reason;
    return std::nullopt;
  };
  // The system would read the file that the part in front of it names.
  if (path.find('\0') != std::string::npos) return failed("there is a NUL byte in this name");
  // Without waiting: a pipe that nobody writes to would hold main for ever.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failed(std::strerror(errno));
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return failed(std::strerror(errno));
  if (S_ISDIR(facts.st_mode)) return failed("it is a directory");
  if (!S_ISREG(facts.st_mode)) return failed("it is not a regular file");
  if (facts.st_size > 0 && static_cast<size_t>(facts.st_size) > limit.bytes) {
    why = path + " has " + std::to_string(facts.st_size) + " bytes" + allowed(limit);
    return std::nullopt;
  }
  std::string content;
  content.reserve(static_cast<size_t>(facts.st_size) + 1);  // whole at once: of a key no pieces are left behind
  char buffer[16384];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(std::strerror(errno));
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > limit.bytes) {  // it grew, or it is of a file system that does not know sizes
      why = path + " has too many bytes" + allowed(limit);
      return std::nullopt;
    }
  }
}

std::optional<std::string> read_data_source(const DataSource& source, SourceLimit limit, SourceFault& fault) {
  std::string_view content;
  switch (source.specifier_case()) {
    case DataSource::kFilename:
      fault.field = "filename";
      return read_bounded_file(source.filename(), limit, fault.message);
    case DataSource::kEnvironmentVariable: {
      fault.field = "environment_variable";
      const std::string& name = source.environment_variable();
      const char* value = name.find('\0') == std::string::npos ? std::getenv(name.c_str()) : nullptr;
      if (value == nullptr) {
        fault.message = "\"" + source.environment_variable() + "\" is not set";
        return std::nullopt;
      }
      content = value;
      break;
    }
    case DataSource::kInlineBytes:
      fault.field = "inline_bytes";
      content = source.inline_bytes();
      break;
    case DataSource::kInlineString:
      fault.field = "inline_string";
      content = source.inline_string();
      break;
    case DataSource::SPECIFIER_NOT_SET:
      fault.message = "one of filename, inline_string, inline_bytes, environment_variable is required";
      return std::nullopt;
  }
  if (content.size() > limit.bytes) {
    fault.message = std::to_string(content.size()) + " bytes" + allowed(limit);
    return std::nullopt;
  }
  return std::string(content);
}

void SourcesRead::add_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path left = fs::path(path).lexically_normal();
  // Links lead to links; a circle of them is one that nothing is read through.
  for (int links = 0; links < 40; ++links) {
    fs::path at, behind;
    bool link = false;
    for (const fs::path& part : left) {
      if (link) {
        behind /= part;
        continue;
      }
      at /= part;
      link = fs::is_symlink(at, ignored);
    }
    directories_.insert(at.has_parent_path() ? at.parent_path().string() : ".");
    if (!link) return;
    const fs::path target = fs::read_symlink(at, ignored);
    if (ignored) return;
    left = target.is_absolute() ? target : at.parent_path() / target;
    if (!behind.empty()) left /= behind;
    left = left.lexically_normal();
  }
}

void SourcesRead::add_file_content(const std::string& file, const std::string& content) {
  ++count_;
  digest_ += std::hash<std::string>{}("f" + file + '\0' + content);
}

void SourcesRead::add(const DataSource& source, const std::string& content) {
  const bool file = source.has_filename();
  if (!file && !source.has_environment_variable()) return;
  ++count_;
  const std::string& origin = file ? source.filename() : source.environment_variable();
  digest_ += std::hash<std::string>{}((file ? "f" : "e") + origin + '\0' + content);
  if (source.has_watched_directory()) add_directory(source.watched_directory().path());
}

}  // namespace weir::config
