// The content that a core.v3.DataSource stands for: text or bytes of the message itself, a file, a variable of the
// environment. Every place of the configuration that has one reads it through here, with a limit, and says the same
// when it cannot be read. Content never gets into a message: it may be a secret.
//
// Thread: any; reading a file blocks, so on main only and while configuration is built.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace envoy::config::core::v3 {
class DataSource;
}

namespace weir::config {

struct SourceFault {
  std::string field;    // below the DataSource: "filename"
  std::string message;  // cannot read /etc/body.html: No such file or directory
};

// How much may be read, and, if the configuration sets it, where: "max_size of the filter".
struct SourceLimit {
  size_t bytes;
  const char* set_by = "";
};

// nullopt: `fault` says why. Text, bytes and variables have the same limit as files.
std::optional<std::string> read_data_source(const envoy::config::core::v3::DataSource& source, SourceLimit limit,
                                            SourceFault& fault);
// A regular file. `why` is the sentence of the fault.
std::optional<std::string> read_bounded_file(const std::string& path, SourceLimit limit, std::string& why);

// What a configuration took from outside of its own text: one that says the same as another and read the same is the
// same. Filled while it is built.
class SourcesRead {
 public:
  // Remembers content that came from a file or the environment, and the directory to watch for changes of it.
  void add(const envoy::config::core::v3::DataSource& source, const std::string& content);
  // The same of a file that is not the content of a DataSource.
  void add_file_content(const std::string& file, const std::string& content);
  void add_directory(std::string path) { directories_.insert(std::move(path)); }
  // The directories in which something may be replaced that the name of this file leads through.
  void add_file(const std::string& path);
  // Something else that is read belongs to what is in force, and may change without the text.
  void add_dependency(uint64_t digest = 0) {
    ++count_;
    digest_ += digest;
  }

  // How many times something was read.
  size_t count() const { return count_; }
  // A digest of what was read so far, in any order: the difference of two of them tells of what was read in between.
  uint64_t digest() const { return digest_; }
  // Takes what was read since `mark` out again, for it belongs to a part that is compared by itself; returns its
  // digest.
  uint64_t take_since(uint64_t mark) {
    uint64_t part = digest_ - mark;
    digest_ = mark;
    return part;
  }
  const std::set<std::string>& directories() const { return directories_; }

 private:
  uint64_t digest_ = 0;
  size_t count_ = 0;
  std::set<std::string> directories_;
};

}  // namespace weir::config
