#include "core/stats/cells.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/assert.h"

namespace weir::stats {

constinit thread_local ThreadPages thread_pages{};

namespace {

using Cell = std::atomic<uint64_t>;

// What readers know of a thread: a mirror of its ThreadPages that outlives it. When the thread ends, the next new
// thread takes the set over and counts on where it stopped. So nothing is ever merged, a cell has one writer at any
// time, and the memory is that of the largest number of threads there ever was at once.
struct PageSet {
  std::vector<Cell*> pages;  // by page number; nullptr: not touched
};

// Guards everything but the cells themselves. Writers take it once per page and thread, never to count.
struct Cells {
  std::mutex mutex;
  std::vector<std::unique_ptr<PageSet>> sets;
  std::vector<PageSet*> without_thread;
  uint32_t next_cell = 1;                          // 0 is the sink
  std::map<uint32_t, std::vector<uint32_t>> free;  // length -> first cells
};

// Never destroyed: threads may end after static objects are gone.
Cells& cells() {
  static Cells* const all = new Cells;
  return *all;
}

// The page set of this thread. The destructor runs when the thread ends.
struct Registration {
  PageSet* set = nullptr;
  ~Registration();
};
thread_local Registration registration;
constinit thread_local bool thread_ended = false;

Registration::~Registration() {
  if (set == nullptr) return;
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  for (size_t i = 0; i < set->pages.size(); ++i) thread_pages.pages[i].store(nullptr, std::memory_order_relaxed);
  all.without_thread.push_back(set);
  set = nullptr;
  thread_ended = true;
}

}  // namespace

Cell* make_page(uint32_t page) {
  WEIR_CHECK(page < kMaxPages);
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  PageSet* set = nullptr;
  // Something counts in a destructor that runs after Registration's: it gets a set of its own, which no other thread
  // takes over, because nobody will say when it is done.
  if (!thread_ended) set = registration.set;
  if (set == nullptr) {
    if (!thread_ended && !all.without_thread.empty()) {
      set = all.without_thread.back();
      all.without_thread.pop_back();
      for (size_t i = 0; i < set->pages.size(); ++i)
        thread_pages.pages[i].store(set->pages[i], std::memory_order_relaxed);
    } else {
      all.sets.push_back(std::make_unique<PageSet>());
      set = all.sets.back().get();
    }
    if (!thread_ended) registration.set = set;
  }
  if (set->pages.size() <= page) set->pages.resize(page + 1);
  if (set->pages[page] == nullptr) set->pages[page] = new Cell[kCellsPerPage]();
  thread_pages.pages[page].store(set->pages[page], std::memory_order_relaxed);
  return set->pages[page];
}

namespace {

constexpr uint32_t kLimit = kCellsPerPage * kMaxPages;

// Pieces of one small size, hosts' above all, share pages that no other size is in: of ten thousands of hosts many are
// never counted for, and what lies beside them is not on their pages.
void cut_page(Cells& all, uint32_t count) {
  const uint32_t gap = (kCellsPerPage - all.next_cell % kCellsPerPage) % kCellsPerPage;
  if (gap + kCellsPerPage > kLimit - all.next_cell) return;
  if (gap > 0) all.free[gap].push_back(all.next_cell);
  all.next_cell += gap;
  std::vector<uint32_t>& pieces = all.free[count];
  for (uint32_t i = kCellsPerPage; i > 0; i -= count) pieces.push_back(all.next_cell + i - count);
  all.next_cell += kCellsPerPage;
}

}  // namespace

uint32_t reserve_cells(uint32_t count) {
  if (count == 0) return 0;
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  if (kCellsPerPage % count == 0 && !all.free.contains(count)) cut_page(all, count);
  if (auto exact = all.free.find(count); exact != all.free.end()) {
    uint32_t first = exact->second.back();
    exact->second.pop_back();
    if (exact->second.empty()) all.free.erase(exact);
    return first;
  }
  if (count <= kLimit - all.next_cell) {
    uint32_t first = all.next_cell;
    all.next_cell += count;
    return first;
  }
  // The end of the range is reached: cut a longer piece.
  auto longer = all.free.upper_bound(count);
  WEIR_CHECK(longer != all.free.end());
  uint32_t length = longer->first;
  uint32_t first = longer->second.back();
  longer->second.pop_back();
  if (longer->second.empty()) all.free.erase(longer);
  all.free[length - count].push_back(first + count);
  return first;
}

void release_cells(uint32_t first, uint32_t count) {
  if (count == 0) return;
  WEIR_CHECK(first != 0);
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  for (auto& set : all.sets) {
    for (uint32_t i = first; i < first + count; ++i) {
      uint32_t page = i / kCellsPerPage;
      if (page >= set->pages.size()) break;
      if (set->pages[page] != nullptr) set->pages[page][i % kCellsPerPage].store(0, std::memory_order_relaxed);
    }
  }
  all.free[count].push_back(first);
}

void read_cells(uint32_t first, std::span<uint64_t> sums) {
  for (uint64_t& sum : sums) sum = 0;
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  for (auto& set : all.sets) {
    for (uint32_t i = 0; i < sums.size(); ++i) {
      uint32_t page = (first + i) / kCellsPerPage;
      if (page >= set->pages.size()) break;
      if (set->pages[page] != nullptr)
        sums[i] += set->pages[page][(first + i) % kCellsPerPage].load(std::memory_order_relaxed);
    }
  }
}

uint64_t read_cell(uint32_t index) {
  uint64_t sum;
  read_cells(index, {&sum, 1});
  return sum;
}

void visit_cell(uint32_t index, void (*visit)(uint64_t value, void* user), void* user) {
  Cells& all = cells();
  std::lock_guard lock(all.mutex);
  uint32_t page = index / kCellsPerPage;
  for (auto& set : all.sets) {
    if (page >= set->pages.size() || set->pages[page] == nullptr) continue;
    visit(set->pages[page][index % kCellsPerPage].load(std::memory_order_acquire), user);
  }
}

}  // namespace weir::stats
