// A library for LD_PRELOAD that counts the heap calls of the program it is loaded into, in a file that the driver maps
// too. While the driver has set `record`, it also keeps the call stacks of the first few calls, so that a test that
// expected none can say where they came from.
//
// It sees what goes through the dynamic linker: operator new, malloc and friends from any object, direct mmap. What
// malloc itself asks of the kernel is not counted twice.
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace {

enum Kind : uint64_t { kMalloc, kCalloc, kRealloc, kAligned, kMmap, kFree, kMunmap, kKinds };

constexpr uint64_t kStacks = 64;
constexpr uint64_t kFrames = 24;

struct Stack {
  uint64_t kind;
  uint64_t size;
  uint64_t depth;
  uint64_t frames[kFrames];
};

// The layout is known to checks.py: all fields are 64 bits wide.
struct Shared {
  std::atomic<uint64_t> record;
  std::atomic<uint64_t> counts[kKinds];
  std::atomic<uint64_t> stacks_used;
  Stack stacks[kStacks];
};

Shared private_counts;  // until the file is mapped, and when there is none
Shared* shared = &private_counts;
thread_local bool inside __attribute__((tls_model("initial-exec"))) = false;

void note(Kind kind, uint64_t size) {
  shared->counts[kind].fetch_add(1, std::memory_order_relaxed);
  if (shared->record.load(std::memory_order_relaxed) == 0 || kind == kFree || inside) return;
  const uint64_t slot = shared->stacks_used.fetch_add(1, std::memory_order_relaxed);
  if (slot >= kStacks) return;
  inside = true;
  Stack& stack = shared->stacks[slot];
  void* frames[kFrames];
  const int depth = backtrace(frames, kFrames);
  for (int i = 0; i < depth; ++i) stack.frames[i] = reinterpret_cast<uint64_t>(frames[i]);
  stack.kind = kind;
  stack.size = size;
  stack.depth = static_cast<uint64_t>(depth);
  inside = false;
}

__attribute__((constructor)) void map_counts() {
  void* warm_up[1];
  backtrace(warm_up, 1);  // loads the unwinder, which allocates
  const char* path = std::getenv("BENCH_ALLOC_FILE");
  if (path == nullptr) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* mapped =
      reinterpret_cast<void*>(syscall(SYS_mmap, nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (mapped != MAP_FAILED) shared = static_cast<Shared*>(mapped);
  close(fd);
}

}  // namespace

#define EXPORTED __attribute__((visibility("default")))

extern "C" {

EXPORTED void* malloc(size_t size) {
  note(kMalloc, size);
  return __libc_malloc(size);
}

EXPORTED void* calloc(size_t count, size_t size) {
  note(kCalloc, count * size);
  return __libc_calloc(count, size);
}

EXPORTED void* realloc(void* block, size_t size) {
  note(kRealloc, size);
  return __libc_realloc(block, size);
}

EXPORTED void free(void* block) {
  if (block == nullptr) return;
  note(kFree, 0);
  __libc_free(block);
}

EXPORTED void* memalign(size_t alignment, size_t size) {
  note(kAligned, size);
  return __libc_memalign(alignment, size);
}

EXPORTED void* aligned_alloc(size_t alignment, size_t size) {
  note(kAligned, size);
  return __libc_memalign(alignment, size);
}

EXPORTED int posix_memalign(void** block, size_t alignment, size_t size) {
  note(kAligned, size);
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

EXPORTED void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  note(kMmap, length);
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

EXPORTED void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  note(kMmap, length);
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

EXPORTED int munmap(void* address, size_t length) {
  note(kMunmap, length);
  return static_cast<int>(syscall(SYS_munmap, address, length));
}

}  // extern "C"
