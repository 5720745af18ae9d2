// Blocks of one size that every request needs anew, kept by the thread that gave them up. malloc's own caches end at
// about a kilobyte; above that each request would walk its lists of free chunks, split one and join it again.
#pragma once

#include <cstddef>
#include <cstdlib>

// What gcc says in a macro of its own, clang says so.
#if defined(__has_feature)
#define LONGSPLICE_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#else
#define LONGSPLICE_ADDRESS_SANITIZER 0
#endif

namespace longsplice {

class FreeList {
 public:
  // Keeps at most `most` blocks of `bytes`.
  constexpr FreeList(size_t bytes, size_t most) : bytes_(bytes), most_(kKeeps ? most : 0) {}
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;
  ~FreeList() {
    most_ = 0;  // what is given up even later goes straight back
    while (first_ != nullptr) std::free(take());
  }

  void* take() {
    if (first_ == nullptr) return allocate();
    Block* const block = first_;
    first_ = block->next;
    count_--;
    return block;
  }

  void give(void* memory) {
    if (count_ >= most_) return std::free(memory);
    auto* const block = static_cast<Block*>(memory);
    block->next = first_;
    first_ = block;
    count_++;
  }

 private:
  struct Block {
    Block* next;
  };

  void* allocate() const {
    void* const memory = std::malloc(bytes_);
    if (memory == nullptr) std::abort();  // as operator new does without exceptions
    return memory;
  }

  // A sanitizer sees the use of a block after its end only if the block goes back to malloc.
#if defined(__SANITIZE_ADDRESS__) || LONGSPLICE_ADDRESS_SANITIZER
  static constexpr bool kKeeps = false;
#else
  static constexpr bool kKeeps = true;
#endif

  size_t bytes_;
  size_t most_;
  size_t count_ = 0;
  Block* first_ = nullptr;
};

}  // namespace longsplice
