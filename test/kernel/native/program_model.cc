#include "program_model.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace longsplice::programs {

namespace {

constexpr uint8_t kEnd = 0, kNop = 1, kSack = 5, kTimestamps = 8;
// A sender that puts more in front of its timestamps does not exist; the programs give up there.
constexpr int kMostOptions = 16;

uint32_t read(const Bytes& from, size_t at) {
  return uint32_t{from[at]} << 24 | uint32_t{from[at + 1]} << 16 | uint32_t{from[at + 2]} << 8 | from[at + 3];
}

void write(Bytes& to, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) to[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

Address address(const __be32 words[4]) {
  Address address;
  memcpy(address.data(), words, 16);
  return address;
}

uint16_t scaled(uint64_t bytes, uint8_t shift) {
  return static_cast<uint16_t>(std::min<uint64_t>(bytes >> shift, 65535));
}

}  // namespace

uint32_t arrived(const Segment& segment, const ls_record& from) {
  const bool counts = !segment.payload.empty() || (segment.flags & (kFin | kRst)) != 0;
  return counts || !after(segment.seq, from.seq_next) ? segment.seq : from.seq_next;
}

bool after(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }
uint32_t later(uint32_t a, uint32_t b) { return after(a, b) ? a : b; }
uint32_t earlier(uint32_t a, uint32_t b) { return after(a, b) ? b : a; }

uint32_t end_of(const Segment& segment) {
  return segment.seq + static_cast<uint32_t>(segment.payload.size()) + ((segment.flags & kFin) != 0 ? 1 : 0);
}

Bytes change_options(Bytes options, const std::function<Timestamps(Timestamps)>& timestamps,
                     uint32_t sack_delta) {
  // Of an option that stands there twice the last one counts.
  size_t timestamps_at = 0, sack_at = 0, sack_size = 0;
  size_t at = 0;
  for (int seen = 0; seen < kMostOptions && at + 1 < options.size() && options[at] != kEnd; seen++) {
    const size_t size = options[at] == kNop ? 1 : options[at + 1];
    if (size < (options[at] == kNop ? 1u : 2u) || at + size > options.size()) break;
    if (options[at] == kTimestamps && size == 10) timestamps_at = at + 2;
    if (options[at] == kSack && size >= 10 && size <= 34) {
      sack_at = at + 2;
      sack_size = size - 2;
    }
    at += size;
  }
  if (timestamps_at != 0) {
    const Timestamps now = timestamps({read(options, timestamps_at), read(options, timestamps_at + 4)});
    write(options, timestamps_at, now.tsval);
    write(options, timestamps_at + 4, now.tsecr);
  }
  for (size_t edge = 0; edge + 8 <= sack_size; edge += 8) {
    write(options, sack_at + edge, read(options, sack_at + edge) + sack_delta);
    write(options, sack_at + edge + 4, read(options, sack_at + edge + 4) + sack_delta);
  }
  return options;
}

Segment spliced(const Segment& segment, const ls_record& from, const ls_record& to) {
  Segment out = segment;
  out.source = address(to.key.local);
  out.target = address(to.key.remote);
  out.source_port = ntohs(to.key.local_port);
  out.target_port = ntohs(to.key.remote_port);
  out.seq = arrived(segment, from) + from.delta_seq;
  // The other end must not hear that something is missing which our stack has acknowledged to it.
  out.ack = later(segment.ack + from.delta_ack, to.link_rcv);
  out.window = scaled(uint64_t{segment.window} << from.remote_wscale, to.local_wscale);
  const auto timestamps = [&](Timestamps in) {
    return Timestamps{later(in.tsval + from.ts_delta, to.last_tsval),
                      to.ts_ready != 0 ? in.tsecr - to.ts_delta : 0};
  };
  out.options = change_options(segment.options, timestamps, from.delta_ack);
  return out;
}

Segment to_stack(const Segment& segment, const ls_record& record) {
  Segment out = segment;
  out.seq -= record.adv_in;
  // No stack believes what acknowledges bytes that it has not sent.
  out.ack = earlier(out.ack - record.adv_out, record.local_sent);
  const auto timestamps = [&](Timestamps in) { return Timestamps{in.tsval, in.tsecr - record.ts_advance}; };
  out.options = change_options(segment.options, timestamps, -record.adv_out);
  return out;
}

Segment told_to_stack(const Segment& segment, const ls_record& record) {
  Segment out = to_stack(segment, record);
  out.seq = record.local_rcv;
  // An acknowledgement and nothing else.
  out.flags &= static_cast<uint8_t>(~(kFin | kPsh | kRst | kUrg));
  out.payload.clear();
  out.padding.clear();
  out.no_length = false;
  return out;
}

Segment reminder_to_stack(const Segment& segment, const ls_record& record) {
  Segment out = told_to_stack(segment, record);
  out.seq--;
  return out;
}

Segment from_local_stack(const Segment& segment, const ls_record& record) {
  Segment out = segment;
  out.seq += record.adv_out;
  out.ack += record.adv_in;
  const auto timestamps = [&](Timestamps in) {
    return Timestamps{later(in.tsval + record.ts_advance, record.last_tsval), in.tsecr};
  };
  out.options = change_options(segment.options, timestamps, record.adv_in);
  return out;
}

Segment from_linked_stack(const Segment& segment, const ls_record& record, const ls_record& peer) {
  Segment out = from_local_stack(segment, record);
  if (segment.payload.empty()) out.seq = peer.seq_next + peer.delta_seq;
  out.ack = later(out.ack, peer.ack_seen + peer.delta_ack);
  out.window = scaled(peer.window, record.local_wscale);
  return out;
}

}  // namespace longsplice::programs
