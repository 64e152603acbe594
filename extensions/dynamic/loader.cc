#include "extensions/dynamic/loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/log.h"
#include "extensions/dynamic/host_api.h"
#include "extensions/dynamic/sha256.h"

namespace weir::extensions::dynamic {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;
// A library takes about five maps; its own libraries and threads take more.
constexpr size_t kMapsPerModule = 64;

std::string error_text() { return std::strerror(errno); }

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string real_path(const std::string& path) {
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) != nullptr ? resolved : "";
}

bool is_below(const std::string& path, const std::string& directory) {
  if (directory.empty()) return false;
  std::string prefix = directory.back() == '/' ? directory : directory + "/";
  return path.compare(0, prefix.size(), prefix) == 0;
}

bool same_version(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_ino == b.st_ino && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// The whole of a regular file; an error if somebody writes to it meanwhile.
Result<std::string> read_file(const std::string& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat before {};
  if (file.fd() < 0 || fstat(file.fd(), &before) != 0) return unavailable(path + ": " + error_text());
  if (!S_ISREG(before.st_mode)) return invalid(path + ": not a regular file");
  if ((before.st_mode & S_IWOTH) != 0)
    return invalid(path + ": anybody may write to it; take that right away (chmod o-w)");
  if (static_cast<size_t>(before.st_size) > kMaxFileBytes) return invalid(path + ": larger than 1 GiB");
  std::string content(static_cast<size_t>(before.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    ssize_t size = read(file.fd(), content.data() + done, content.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    done += static_cast<size_t>(size);
  }
  struct stat after {};
  if (done != content.size() || fstat(file.fd(), &after) != 0 || !same_version(before, after)) {
    return unavailable(path + ": changed while it was read; write a new file beside it and rename it");
  }
  return content;
}

Status write_file(const std::string& path, const std::string& content) {
  File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
  if (file.fd() < 0) return unavailable(path + ": " + error_text());
  for (size_t done = 0; done < content.size();) {
    ssize_t size = write(file.fd(), content.data() + done, content.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return unavailable(path + ": " + error_text());
    done += static_cast<size_t>(size);
  }
  return {};
}

// The directory of the copies is ours alone, or the copies are not ours.
Status make_private_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return unavailable(path + ": " + error_text());
  struct stat facts {};
  if (lstat(path.c_str(), &facts) != 0) return unavailable(path + ": " + error_text());
  if (!S_ISDIR(facts.st_mode) || facts.st_uid != geteuid() || (facts.st_mode & 077) != 0) {
    return invalid(path +
                   ": copies of plugins are kept there, so it must be a directory of this user with mode 0700; "
                   "set WEIR_PLUGIN_COPIES to another");
  }
  return {};
}

size_t count_maps() {
  FILE* file = fopen("/proc/self/maps", "re");
  if (file == nullptr) return 0;
  size_t lines = 0;
  for (int c; (c = getc_unlocked(file)) != EOF;) lines += c == '\n';
  fclose(file);
  return lines;
}

size_t allowed_maps() {
  unsigned long allowed = 65530;
  if (FILE* file = fopen("/proc/sys/vm/max_map_count", "re")) {
    if (fscanf(file, "%lu", &allowed) != 1) allowed = 65530;
    fclose(file);
  }
  return allowed;
}

std::string version_text(uint32_t major, uint32_t minor) { return std::to_string(major) + "." + std::to_string(minor); }

// As much of a table as both sides know; the rest is null.
template <class Table>
void copy_table(Table& to, const Table* from) {
  std::memcpy(&to, from, std::min<size_t>(from->struct_size, sizeof(Table)));
  to.struct_size = sizeof(Table);
}

}  // namespace

Loader::Options Loader::options_from_environment() {
  Options options;
  if (const char* directories = std::getenv("WEIR_PLUGIN_DIRS")) {
    std::string_view rest = directories;
    while (!rest.empty()) {
      std::string_view one = rest.substr(0, rest.find(':'));
      if (!one.empty()) options.directories.emplace_back(one);
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    }
  }
  if (const char* copies = std::getenv("WEIR_PLUGIN_COPIES")) options.copies = copies;
  return options;
}

Loader& Loader::process() {
  static Loader& loader = []() -> Loader& {
    std::atexit([] { process().remove_copies(); });
    return *new Loader(options_from_environment());  // never destroyed: modules stay
  }();
  return loader;
}

Result<const Module*> Loader::load(std::string_view module) {
  auto path = find(module);
  if (!path.ok()) return path.status();
  auto content = read_file(*path);
  if (!content.ok()) return content.status();
  if (Status elf = internal::check_elf(*content); !elf.ok()) return invalid(*path + ": " + message_of(elf));
  std::string hash = sha256_hex(*content);
  if (auto known = modules_.find(hash); known != modules_.end()) return known->second.get();
  WEIR_RETURN_IF_ERROR(internal::check_map_room(count_maps(), allowed_maps()));
  auto copy = make_copy(*path, *content, hash);
  if (!copy.ok()) return copy.status();
  auto opened = open(*path, *copy);
  if (!opened.ok()) return opened.status();
  (*opened)->hash = hash;
  WEIR_LOG(kInfo, "dynamic", "loaded %s from %s (sha256 %.16s...)", (*opened)->id.c_str(), path->c_str(), hash.c_str());
  return modules_.emplace(hash, std::move(*opened)).first->second.get();
}

Result<std::string> Loader::find(std::string_view module) const {
  if (options_.directories.empty()) {
    return invalid(
        "plugins from shared libraries are off; start weir with WEIR_PLUGIN_DIRS=/directory[:/directory...] to allow "
        "those in there");
  }
  for (const std::string& directory : options_.directories) {
    if (directory[0] != '/') return invalid("WEIR_PLUGIN_DIRS: '" + directory + "' is not an absolute path");
  }
  if (module.empty())
    return invalid(
        "module: must not be empty; an absolute path, or the name of a file in WEIR_PLUGIN_DIRS without .so");
  std::string allowed;
  for (const std::string& directory : options_.directories) allowed += (allowed.empty() ? "" : ", ") + directory;

  std::vector<std::string> candidates;
  if (module[0] == '/') {
    candidates.emplace_back(module);
  } else {
    if (module.find('/') != std::string_view::npos) {
      return invalid("module: '" + std::string(module) +
                     "' is a relative path; allowed are an absolute path or a name without '/'");
    }
    for (const std::string& directory : options_.directories) {
      candidates.push_back(directory + "/" + std::string(module) + ".so");
      candidates.push_back(directory + "/lib" + std::string(module) + ".so");
    }
  }
  for (const std::string& candidate : candidates) {
    std::string path = real_path(candidate);
    if (path.empty()) continue;
    for (const std::string& directory : options_.directories) {
      if (is_below(path, real_path(directory))) return path;
    }
    return invalid("module: " + path + " is not in a directory that WEIR_PLUGIN_DIRS allows: " + allowed);
  }
  if (module[0] == '/') return invalid("module: " + std::string(module) + ": " + error_text());
  return invalid("module: no " + std::string(module) + ".so or lib" + std::string(module) + ".so in " + allowed);
}

void Loader::remove_copies() {
  for (const std::string& copy : copies_) unlink(copy.c_str());
  copies_.clear();
  if (!own_directory_.empty()) rmdir(own_directory_.c_str());
  own_directory_.clear();
}

Result<std::string> Loader::make_copy(const std::string& path, const std::string& content, const std::string& hash) {
  if (options_.copies.empty() && own_directory_.empty()) {
    char name[] = "/tmp/weir-plugins-XXXXXX";
    if (mkdtemp(name) == nullptr) return unavailable(std::string(name) + ": " + error_text());
    own_directory_ = name;
  }
  const std::string& directory = options_.copies.empty() ? own_directory_ : options_.copies;
  if (directory[0] != '/') return invalid("WEIR_PLUGIN_COPIES: '" + directory + "' is not an absolute path");
  WEIR_RETURN_IF_ERROR(make_private_directory(directory));
  // The file's own name is kept for whoever reads a stack trace. Each process has its own copy, which goes with it.
  std::string copy = directory + "/" + hash + "-" + std::to_string(getpid()) + "-" + path.substr(path.rfind('/') + 1);
  auto verified = [&] {
    auto written = read_file(copy);
    return written.ok() && sha256_hex(*written) == hash;
  };
  copies_.push_back(copy);
  if (access(copy.c_str(), F_OK) == 0 && verified()) return copy;
  // A rename never changes a file that somebody has mapped.
  std::string fresh = copy + ".new";
  unlink(fresh.c_str());
  Status written = write_file(fresh, content);
  if (written.ok() && rename(fresh.c_str(), copy.c_str()) != 0) written = unavailable(copy + ": " + error_text());
  if (!written.ok()) {
    unlink(fresh.c_str());
    return written;
  }
  if (!verified()) return unavailable(copy + ": is not what was written; is the disk full or failing?");
  return copy;
}

Result<std::unique_ptr<Module>> Loader::open(const std::string& path, const std::string& copy) const {
  // From here on the file stays mapped, whatever comes: code that ran once may have left threads and pointers.
  void* library = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* said = dlerror();
    std::string why = said != nullptr ? said : "unknown error";
    if (why.starts_with(copy + ": ")) why.erase(0, copy.size() + 2);  // the reader knows the module, not its copy
    return invalid(path + ": cannot be loaded: " + why);
  }
  const auto* entry = static_cast<const weir_plugin*>(dlsym(library, "weir_plugin_entry"));
  if (entry == nullptr) {
    return invalid(path +
                   ": is no weir plugin: it does not export weir_plugin_entry (weir/plugin.h says how; plugins for "
                   "other proxies do not load here)");
  }
  if (Status status = internal::check_entry(*entry); !status.ok()) return invalid(path + ": " + message_of(status));
  auto module = std::make_unique<Module>();
  module->id = entry->id;
  module->copy = copy;
  if (entry->http_filter != nullptr) {
    module->has_http_filter = true;
    copy_table(module->http_filter, entry->http_filter);
  }
  if (entry->load_balancer != nullptr) {
    module->has_load_balancer = true;
    copy_table(module->load_balancer, entry->load_balancer);
  }
  if (int32_t started = entry->start(&host_api()); started != WEIR_OK) {
    return invalid(path + ": " + module->id + " refused to start (" + std::to_string(started) + ")");
  }
  return module;
}

namespace internal {

Status check_map_room(size_t used, size_t allowed) {
  if (used + kMapsPerModule <= allowed - allowed / 10) return {};
  return unavailable("the process has " + std::to_string(used) + " of " + std::to_string(allowed) +
                     " memory maps, too many to load another plugin; raise vm.max_map_count, or restart weir to be rid "
                     "of old versions");
}

Status check_elf(std::string_view content) {
  Elf64_Ehdr header;
  if (content.size() < sizeof(header) || content.substr(0, SELFMAG) != ELFMAG)
    return invalid("is not a shared library (no ELF file)");
  std::memcpy(&header, content.data(), sizeof(header));
#if defined(__x86_64__)
  constexpr int kMachine = EM_X86_64;
#elif defined(__aarch64__)
  constexpr int kMachine = EM_AARCH64;
#endif
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine)
    return invalid("is built for another kind of machine");
  if (header.e_type != ET_DYN) return invalid("is not a shared library (build it with -shared -fPIC)");
  uint64_t sections = header.e_shoff + uint64_t{header.e_shentsize} * header.e_shnum;
  uint64_t segments = header.e_phoff + uint64_t{header.e_phentsize} * header.e_phnum;
  // A file that is cut off would map, and kill the process where its end is missing.
  if (sections < header.e_shoff || segments < header.e_phoff || sections > content.size() ||
      segments > content.size()) {
    return invalid("is cut off; was it copied to its end?");
  }
  return {};
}

Status check_entry(const weir_plugin& entry) {
  constexpr size_t kVersionEnd = offsetof(weir_plugin, reserved);
  // While the interface is a draft its numbers promise nothing about each other.
  if (entry.struct_size < kVersionEnd || entry.abi_major != WEIR_ABI_MAJOR || entry.abi_minor != WEIR_ABI_MINOR) {
    return invalid(
        "is made for version " + version_text(entry.abi_major, entry.abi_minor) +
        " of weir's plugin interface, and this weir has " + version_text(WEIR_ABI_MAJOR, WEIR_ABI_MINOR) +
        " (a draft: both must be the same); build the plugin with this weir's SDK, or run the weir it was made for");
  }
  if (entry.struct_size < sizeof(weir_plugin)) {
    return invalid("its entry has " + std::to_string(entry.struct_size) + " bytes, and at least " +
                   std::to_string(sizeof(weir_plugin)) + " are needed");
  }
  if (entry.id == nullptr || entry.id[0] == '\0') return invalid("its entry has no id");
  if (entry.start == nullptr) return invalid(std::string(entry.id) + ": its entry has no start");
  if (entry.http_filter == nullptr && entry.load_balancer == nullptr) {
    return invalid(std::string(entry.id) + ": its entry offers nothing this weir knows (HTTP filter, load balancer)");
  }
  if (const weir_http_filter* http = entry.http_filter) {
    if (http->struct_size < offsetof(weir_http_filter, create) || http->config_create == nullptr ||
        http->config_destroy == nullptr) {
      return invalid(std::string(entry.id) + ": its HTTP filter has no config_create and config_destroy");
    }
  }
  if (const weir_load_balancer* lb = entry.load_balancer) {
    if (lb->struct_size < sizeof(weir_load_balancer) || lb->config_create == nullptr || lb->config_destroy == nullptr ||
        lb->build == nullptr || lb->pick == nullptr || lb->table_destroy == nullptr) {
      return invalid(std::string(entry.id) +
                     ": its load balancer lacks one of config_create, config_destroy, build, pick, table_destroy");
    }
  }
  return {};
}

}  // namespace internal
}  // namespace weir::extensions::dynamic
