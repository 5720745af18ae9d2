// Reading heads of HTTP messages eight bytes at a time, and refusing whatever is not plain.
#ifndef LONGSPLICE_HEAD_BPF_H
#define LONGSPLICE_HEAD_BPF_H

#include "state.bpf.h"

#define LS_LINES 64
#define LS_NAME_MAX 40
#define LS_INSIDE (LS_HEAD_BYTES - 1)

#define LS_EACH(byte) (0x0101010101010101ULL * (byte))
#define LS_WORD(a, b, c, d, e, f, g, h)                                                    \
  ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
   (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

static __always_inline __u64 word_at(const char* text, __u32 at) {
  return *(const __u64*)(text + (at & LS_INSIDE));
}

// Adds a 0 of which the verifier knows nothing: a loop that is left at its first turn or at its last then leads to one
// state and not to as many as it has turns.
#define blur(number, from) ((number) += (from)->zero)

// The highest bit of each byte that is 0; above the first such byte there may be more than that.
static __always_inline __u64 zero_bytes(__u64 word) { return (word - LS_EACH(1)) & ~word & LS_EACH(0x80); }

// Place of the first byte that has its highest bit set.
static __always_inline __u32 first_byte(__u64 marks) {
  const __u64 lowest = (marks & -marks) >> 7;
  return (lowest * 0x0001020304050607ULL) >> 56;
}

// Ones for `length` bytes, of which there are less than 8.
static __always_inline __u64 mask_below(__u32 length) { return (1ULL << ((length & 7) * 8)) - 1; }

// ... of which there may be more.
static __always_inline __u64 mask_of(__u32 length) { return length >= 8 ? ~0ULL : mask_below(length); }

// Place of the highest bit of a number below 2^63 that is not 0. Without branches, also where the compiler would make some
// if it knew what is shifted: the verifier would follow each of them.
static __always_inline __u32 highest_bit(__u64 bits) {
  __u64 at = 0;
  for (int log = 5; log >= 0; log--) {
    __u64 above = bits >> (1 << log);
    above = -above;
    asm volatile("" : "+r"(above));
    above = (above >> 63) << log;
    bits >>= above;
    at += above;
  }
  return at;
}

// ---- The request line ----------------------------------------------------------------------------------------------

struct target {
  __u32 at;
  __u32 length;
  __u32 end;  // of the line
};

// 1 if it is that byte, else 0.
static __always_inline __u64 is_byte(__u8 c, __u8 wanted) { return ((__u64)(c ^ wanted) - 1) >> 63; }

// How many bytes of a path begin here, with its `lengths` noted; 0 if it would have to be normalized before it is looked
// up. Not static, as the verifier looks at such functions once, and not once for each way to them.
__noinline __u32 scan_path(__u32 judge, __u32 at) {
  struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  if (!j) return 0;
  __u64 lengths = 1;
  __u64 dots = 0;
  __u64 before = 0;
  __u32 n = 0;
  // No branches within: the verifier would follow every combination of them.
  for (; n < LS_TARGET_MAX; n++) {
    const __u8 c = j->head[(at + n) & LS_INSIDE];
    if (target_bytes[c] != 1) break;
    const __u64 slash = is_byte(c, '/');
    dots |= before & is_byte(c, '.');
    if (n > 0 && n <= LS_PATH_BYTES) lengths |= slash * (3ULL << n);
    before = slash;
  }
  // Of what is longer no route has a path.
  if (n <= LS_PATH_BYTES) lengths |= 1ULL << (n & 63);
  j->lengths = lengths & ((1ULL << (LS_PATH_BYTES + 1)) - 1);
  return dots ? 0 : n;
}

// How many bytes of a query begin here.
__noinline __u32 scan_query(__u32 judge, __u32 at) {
  const struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  if (!j) return 0;
  __u32 n = 0;
  for (; n < LS_TARGET_MAX; n++) {
    if (!target_bytes[(__u8)j->head[(at + n) & LS_INSIDE]]) break;
  }
  return n;
}

static __always_inline int read_request_line(struct ls_judge* j, __u32 judge, struct target* target) {
  const __u64 begin = word_at(j->head, 0);
  if ((begin & mask_below(5)) == LS_WORD('G', 'E', 'T', ' ', '/', 0, 0, 0)) {
    j->head_method = 0;
  } else if ((begin & mask_below(6)) == LS_WORD('H', 'E', 'A', 'D', ' ', '/', 0, 0)) {
    j->head_method = 1;
  } else {
    return 0;
  }
  target->at = 4 + *(volatile __u32*)&j->head_method;
  target->length = scan_path(judge, target->at);
  if (target->length == 0) return 0;
  if (j->head[(target->at + target->length) & LS_INSIDE] == '?')
    target->length += scan_query(judge, target->at + target->length);
  if (target->length > LS_TARGET_MAX) return 0;
  const __u32 end = target->at + target->length;
  target->end = end + 11;
  return word_at(j->head, end) == LS_WORD(' ', 'H', 'T', 'T', 'P', '/', '1', '.') &&
         (word_at(j->head, end + 8) & mask_below(3)) == LS_WORD('1', '\r', '\n', 0, 0, 0, 0, 0);
}

static __always_inline void copy_path(struct ls_judge* j, __u32 at, __u32 length) {
  const __u8* mask = path_mask + (~length & 63);
  for (__u32 i = 0; i < LS_PATH_BYTES; i += 8) {
    *(__u64*)(j->path.text + i) = word_at(j->head, at + i) & *(const __u64*)(mask + i);
  }
}

// See `hash_target` in verdict_table.cc.
__noinline __u64 hash_target(__u32 judge, __u32 at, __u32 length) {
  const struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  if (!j) return 0;
  __u64 hash = j->host_hash;
  __u32 done = 0;
  for (; done < LS_TARGET_MAX; done += 8) {
    if (done + 8 > length) break;
    hash = ls_mix(hash, word_at(j->head, at + done));
  }
  return ls_mix(hash, word_at(j->head, at + done) & mask_below(length));
}

// ---- Fields of a request -------------------------------------------------------------------------------------------

// What `read_field` says besides the place of the next line.
#define LS_FIELD_HOST (1 << 16)
#define LS_FIELD_END (1 << 17)  // there is none; the head ends here

// The highest bit of each byte that is no visible ASCII character and no space, up to the first such byte.
static __always_inline __u64 odd_bytes(__u64 word) {
  const __u64 control = (word - LS_EACH(0x20)) & ~word & LS_EACH(0x80);
  return control | (word & LS_EACH(0x80)) | zero_bytes(word ^ LS_EACH(0x7f));
}

// The highest bit of each ASCII character from `low` to `high`.
static __always_inline __u64 between(__u64 word, __u8 low, __u8 high) {
  word &= LS_EACH(0x7f);
  return (word + LS_EACH(0x80 - low)) & ~(word + LS_EACH(0x7f - high)) & LS_EACH(0x80);
}

// ... of each byte that is no letter, digit or hyphen.
static __always_inline __u64 odd_in_name(__u64 word) {
  const __u64 plain =
      between(word | LS_EACH(0x20), 'a', 'z') | between(word, '0', '9') | between(word, '-', '-');
  return (~plain | word) & LS_EACH(0x80);
}

// Of the name of a field that begins here. More than there are, where it is longer than a plain one.
static __always_inline __u32 name_length(const char* text, __u32 at) {
  __u64 odd = 0;
  __u32 n = 0;
  for (__u32 i = 0; i < LS_NAME_MAX / 8; i++) {
    odd = odd_in_name(word_at(text, at + n));
    if (odd) break;
    n += 8;
  }
  return odd ? n + first_byte(odd) : LS_HEAD_BYTES;
}

static __always_inline int same_host(const struct ls_judge* j, __u32 at, __u32 length) {
  if (length != j->host_length) return 0;
  __u32 done = 0;
  for (; done < LS_HOST_BYTES - 8; done += 8) {
    if (done + 8 > length) break;
    if (word_at(j->head, at + done) != *(const __u64*)(j->host + done)) return 0;
  }
  return (word_at(j->head, at + done) & mask_below(length)) == *(const __u64*)(j->host + done);
}

static __always_inline int keeps_alive(const char* text, __u32 at, __u32 length) {
  const __u64 word = word_at(text, at) | LS_EACH(0x20);
  const __u64 rest = (word_at(text, at + 8) & mask_below(2)) | 0x2020;
  return length == 10 && word == LS_WORD('k', 'e', 'e', 'p', '-', 'a', 'l', 'i') &&
         rest == LS_WORD('v', 'e', 0, 0, 0, 0, 0, 0);
}

// 0 for what is not plain.
__noinline __u32 read_field(__u32 judge, __u32 at, __u32 length) {
  const struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  const __u32 zero = 0;
  const struct ls_rules* rules = bpf_map_lookup_elem(&rule_set, &zero);
  if (!j || !rules) return 0;
  if ((word_at(j->head, at) & 0xffff) == LS_WORD('\r', '\n', 0, 0, 0, 0, 0, 0))
    return at + 2 == length ? LS_FIELD_END : 0;

  __u64 hash = rules->seed;
  __u64 odd = 0;
  __u32 n = 0;
  for (__u32 i = 0; i < LS_NAME_MAX / 8; i++) {
    const __u64 word = word_at(j->head, at + n);
    odd = odd_in_name(word);
    if (odd) break;
    hash = ls_mix(hash, word | LS_EACH(0x20));
    n += 8;
  }
  if (!odd) return 0;
  const __u32 last = first_byte(odd);
  hash = ls_mix(hash, (word_at(j->head, at + n) | LS_EACH(0x20)) & mask_below(last));
  n += last;
  blur(n, j);
  if (n == 0 || j->head[(at + n) & LS_INSIDE] != ':') return 0;
  const __u64 name = word_at(j->head, at) | LS_EACH(0x20);
  const __u32 value = at + n + 2;
  if (j->head[(value - 1) & LS_INSIDE] != ' ') return 0;

  __u32 end = value;
  for (__u32 i = 0; i < LS_HEAD_BYTES / 8; i++) {
    odd = odd_bytes(word_at(j->head, end));
    if (odd) break;
    end += 8;
    if (end >= length) return 0;
  }
  if (!odd) return 0;
  end += first_byte(odd);
  blur(end, j);
  if ((word_at(j->head, end) & 0xffff) != LS_WORD('\r', '\n', 0, 0, 0, 0, 0, 0)) return 0;
  const __u32 next = end + 2;
  if (next >= length) return 0;

  if (n == 4 && (name & mask_below(4)) == LS_WORD('h', 'o', 's', 't', 0, 0, 0, 0))
    return same_host(j, value, end - value) ? next | LS_FIELD_HOST : 0;
  if (n == 10 && name == LS_WORD('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'))
    return keeps_alive(j->head, value, end - value) ? next : 0;
  // Whatever a proxy may say of a client, now or later.
  if (n >= 8 && name == LS_WORD('x', '-', 'f', 'o', 'r', 'w', 'a', 'r')) return 0;
  const int perhaps = (rules->names[(hash >> 6) & 3] & (1ULL << (hash & 63))) != 0;
  return perhaps && bpf_map_lookup_elem(&names, &hash) ? 0 : next;
}

// The head in `scratch` is that of the judge from here on: what is kept is what was looked at, not what whoever shares the
// memory of a packet on this host makes of it meanwhile.
__noinline int keep_head(__u32 judge, __u32 length) {
  const __u32 zero = 0;
  struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  const struct bytes* now = bpf_map_lookup_elem(&scratch, &zero);
  if (!j || !now) return 0;
  for (__u32 done = 0; done < LS_HEAD_BYTES; done += 8) {
    if (done >= length) break;
    *(__u64*)(j->head + (done & LS_INSIDE)) = word_at(now->text, done);
  }
  return 0;
}

// Clients mostly send the fields of their last request again. Where in the head in `scratch` they begin, if it ends like the one
// before it on this link, which has `last` bytes and passed; else 0.
__noinline __u32 same_fields(__u32 judge, __u32 last, __u32 length) {
  const __u32 zero = 0;
  const struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  const struct bytes* now = bpf_map_lookup_elem(&scratch, &zero);
  if (!j || !now || j->fields == 0 || last > LS_HEAD_MAX || length > LS_HEAD_MAX) return 0;
  const __u32 bytes = last - j->fields;
  if (bytes >= length) return 0;
  const __u32 begin = length - bytes;
  __u32 done = 0;
  for (; done < LS_HEAD_BYTES; done += 8) {
    if (done + 8 > bytes) break;
    if (word_at(now->text, begin + done) != word_at(j->head, j->fields + done)) return 0;
  }
  const __u64 differ = word_at(now->text, begin + done) ^ word_at(j->head, j->fields + done);
  return (differ & mask_below(bytes)) == 0 ? begin : 0;
}

// ---- Bytes that were sent again ------------------------------------------------------------------------------------

// The sum, in 32-bit words, of the bytes in `scratch`, or LS_DIFFERS if the head has other ones there.
#define LS_DIFFERS (~0ULL)
__noinline __u64 sum_if_same(__u32 judge, __u32 skipped, __u32 length) {
  const __u32 zero = 0;
  const struct ls_judge* j = bpf_map_lookup_elem(&judges, &judge);
  const struct bytes* sent = bpf_map_lookup_elem(&scratch, &zero);
  __u64 sum = 0;
  if (!j || !sent) return LS_DIFFERS;
  __u32 done = 0;
  for (; done < LS_HEAD_BYTES; done += 8) {
    if (done + 8 > length) break;
    const __u64 word = word_at(sent->text, done);
    if (word != word_at(j->head, skipped + done)) return LS_DIFFERS;
    sum += (word & 0xffffffff) + (word >> 32);
  }
  const __u64 mask = mask_below(length);
  const __u64 word = word_at(sent->text, done) & mask;
  if (word != (word_at(j->head, skipped + done) & mask)) return LS_DIFFERS;
  return sum + (word & 0xffffffff) + (word >> 32);
}

// ... of the first bytes in `scratch`.
__noinline __u64 sum_of_text(__u32 length) {
  const __u32 zero = 0;
  const struct bytes* bytes = bpf_map_lookup_elem(&scratch, &zero);
  if (!bytes) return 0;
  __u64 sum = 0;
  __u32 done = 0;
  for (; done < LS_HEAD_BYTES; done += 8) {
    if (done + 8 > length) break;
    const __u64 word = word_at(bytes->text, done);
    sum += (word & 0xffffffff) + (word >> 32);
  }
  const __u64 word = word_at(bytes->text, done) & mask_below(length);
  return sum + (word & 0xffffffff) + (word >> 32);
}

#endif
