#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "free_list.h"

namespace longsplice {

// A contiguous queue of bytes that owns no memory while it is empty: an idle connection costs no buffer.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { discard(); }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  const char* data() const { return data_ + begin_; }
  std::string_view view() const { return {data_ + begin_, end_ - begin_}; }

  // Room for at least `bytes` more after the last byte; `commit` makes what was written there part of the content.
  char* reserve(size_t bytes) {
    if (capacity_ - end_ < bytes) make_room(bytes);
    return data_ + end_;
  }
  size_t room() const { return capacity_ - end_; }
  void commit(size_t bytes) { end_ += bytes; }

  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
  }

  void consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) release();
  }

  void swap(Buffer& other) {
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

  void release() {
    discard();
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }

 private:
  void make_room(size_t bytes) {
    const size_t used = size();
    if (capacity_ - used >= bytes && begin_ > 0) {
      std::memmove(data_, data_ + begin_, used);
    } else {
      size_t capacity = capacity_ > 0 ? capacity_ * 2 : kSmallest;
      while (capacity < used + bytes) capacity *= 2;
      char* grown = allocate(capacity);
      if (used > 0) std::memcpy(grown, data_ + begin_, used);
      discard();
      data_ = grown;
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }

  static char* allocate(size_t capacity) {
    void* memory = capacity == kSmallest ? smallest_blocks().take() : std::malloc(capacity);
    if (memory == nullptr) std::abort();  // as operator new does without exceptions
    return static_cast<char*>(memory);
  }

  void discard() {
    if (capacity_ == kSmallest) {
      smallest_blocks().give(data_);
    } else {
      std::free(data_);
    }
  }

  static FreeList& smallest_blocks() {
    thread_local FreeList blocks(kSmallest, kKeptBlocks);
    return blocks;
  }

  static constexpr size_t kSmallest = 4096;
  static constexpr size_t kKeptBlocks = 256;
  char* data_ = nullptr;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace longsplice
