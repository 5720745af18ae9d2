// Heads of responses: whether one is plain, and how long its body is.
#ifndef LONGSPLICE_RESPONSE_BPF_H
#define LONGSPLICE_RESPONSE_BPF_H

#include "head.bpf.h"

// What follows "Content-Length" has to be ": 123\r". The number goes into `sized`, 1 higher; one that is there twice is not
// plain, and neither is whatever somebody could take for that field.
static __always_inline int read_size(struct bytes* bytes, __u32 at) {
  const char* text = bytes->text;
  __u32 size = 0;
  __u32 digits = 0;
  if (text[at & LS_INSIDE] != ':') return 0;
  at++;
  if (text[at & LS_INSIDE] == ' ') at++;
  for (; digits < 10; digits++) {
    const __u8 digit = text[(at + digits) & LS_INSIDE] - '0';
    if (digit > 9) break;
    size = size * 10 + digit;
  }
  // Half of the numbers of a sequence lie ahead; nine digits are less than that.
  if (digits == 0 || digits > 9 || text[(at + digits) & LS_INSIDE] != '\r' || bytes->sized) return 0;
  bytes->sized = size + 1;
  return 1;
}

// The place of the next line, 0 for what user space has to read: that is whatever it would refuse, and more.
__noinline __u32 read_response_field(__u32 at, __u32 length) {
  const __u32 zero = 0;
  struct bytes* bytes = bpf_map_lookup_elem(&scratch, &zero);
  if (!bytes) return 0;
  const char* text = bytes->text;
  const __u64 first = word_at(text, at);
  if ((first & 0xffff) == LS_WORD('\r', '\n', 0, 0, 0, 0, 0, 0)) {
    return at + 2 <= length ? (at + 2) | LS_FIELD_END : 0;
  }
  // All but the status line have a name.
  if (at != 0) {
    const __u32 n = name_length(text, at);
    if (n == 0 || n > LS_NAME_MAX || text[(at + n) & LS_INSIDE] != ':') return 0;
  }
  __u32 end = at;
  __u64 odd = 0;
  for (__u32 i = 0; i < LS_HEAD_BYTES / 8; i++) {
    odd = odd_bytes(word_at(text, end));
    if (odd) break;
    end += 8;
    if (end >= length) return 0;
  }
  if (!odd) return 0;
  end += first_byte(odd);
  if (end + 2 > length || (word_at(text, end) & 0xffff) != LS_WORD('\r', '\n', 0, 0, 0, 0, 0, 0)) return 0;

  const __u64 name = first | LS_EACH(0x20);
  if (name == LS_WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
    const __u64 rest = (word_at(text, at + 8) | LS_EACH(0x20)) & mask_below(6);
    if (rest == LS_WORD('l', 'e', 'n', 'g', 't', 'h', 0, 0) && !read_size(bytes, at + 14)) return 0;
  }
  // "Connection: keep-alive" says nothing new, everything else there is said to the next hop only.
  if (name == LS_WORD('c', 'o', 'n', 'n', 'e', 'c', 't', 'i') && !keeps_alive(text, at + 12, end - (at + 12)))
    return 0;
  // Framing that has to be read.
  const int returns = name == LS_WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') ||
                      name == LS_WORD('u', 'p', 'g', 'r', 'a', 'd', 'e', ':');
  return returns ? 0 : end + 2;
}

// What a response says of its length.
struct response {
  __u32 head;  // bytes
  __u32 status;
  __u32 sized;  // 1 more than its Content-Length; 0 if it has none
};

// False for what user space has to read.
static __always_inline int read_response(struct bytes* bytes, __u32 length, struct response* response) {
  const char* text = bytes->text;
  if (word_at(text, 0) != LS_WORD('H', 'T', 'T', 'P', '/', '1', '.', '1')) return 0;
  const __u8 a = text[9] - '0', b = text[10] - '0', c = text[11] - '0';
  if (text[8] != ' ' || a > 9 || b > 9 || c > 9 || (text[12] != ' ' && text[12] != '\r')) return 0;
  response->status = a * 100 + b * 10 + c;
  if (response->status < 200) return 0;
  bytes->sized = 0;
  __u32 at = 0;
  for (int i = 0; i < LS_LINES; i++) {
    at = read_response_field(at, length);
    if (at == 0) return 0;
    if (at & LS_FIELD_END) break;
  }
  response->head = at & LS_INSIDE;
  response->sized = bytes->sized;
  return (at & LS_FIELD_END) != 0;
}

#endif
