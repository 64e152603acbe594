// A doubly linked list whose links are members of the objects: linking never allocates, unlinking needs no list.
#pragma once

#include <cstddef>

#include "core/base/assert.h"

namespace weir {

class ListNode {
 public:
  ListNode() : prev_(this), next_(this) {}
  ~ListNode() { unlink(); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != this; }
  void unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }

 private:
  template <class T, ListNode T::*>
  friend class IntrusiveList;
  void insert_before(ListNode& at) {
    WEIR_ASSERT(!linked());
    prev_ = at.prev_;
    next_ = &at;
    prev_->next_ = this;
    at.prev_ = this;
  }

  ListNode* prev_;
  ListNode* next_;
};

// `IntrusiveList<ClientConn, &ClientConn::idle_node_> idle_;` The list owns nothing.
template <class T, ListNode T::*kMember>
class IntrusiveList {
 public:
  bool empty() const { return !head_.linked(); }
  void push_back(T& object) { (object.*kMember).insert_before(head_); }
  void push_front(T& object) { (object.*kMember).insert_before(*head_.next_); }
  T* front() { return empty() ? nullptr : owner(head_.next_); }
  T* back() { return empty() ? nullptr : owner(head_.prev_); }
  T* pop_front() {
    T* object = front();
    if (object != nullptr) (object->*kMember).unlink();
    return object;
  }
  T* pop_back() {
    T* object = back();
    if (object != nullptr) (object->*kMember).unlink();
    return object;
  }
  // Calls visit(T&) for each; the visitor may unlink the object it is given, and no other.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (ListNode* node = head_.next_; node != &head_;) {
      ListNode* next = node->next_;
      visit(*owner(node));
      node = next;
    }
  }
  size_t count() const {
    size_t n = 0;
    for (const ListNode* node = head_.next_; node != &head_; node = node->next_) ++n;
    return n;
  }

 private:
  static T* owner(ListNode* node) {
    // The offset of the member, by the usual container_of arithmetic on a suitably aligned dummy address.
    alignas(T) static char dummy[sizeof(T)];
    auto* object = reinterpret_cast<T*>(dummy);
    auto offset = reinterpret_cast<char*>(&(object->*kMember)) - reinterpret_cast<char*>(object);
    return reinterpret_cast<T*>(reinterpret_cast<char*>(node) - offset);
  }
  ListNode head_;
};

}  // namespace weir
