#include "program_packet.h"

#include <arpa/inet.h>

#include <cstring>

namespace longsplice::programs {

namespace {

constexpr uint8_t kTcp = 6;
constexpr size_t kTcpHeader = 20;
constexpr size_t kTcpCheck = 16;

void append(Bytes& to, const uint8_t* data, size_t length) { to.insert(to.end(), data, data + length); }
void append(Bytes& to, const Bytes& data) { append(to, data.data(), data.size()); }

void set16(Bytes& in, size_t at, uint32_t value) {
  in[at] = static_cast<uint8_t>(value >> 8);
  in[at + 1] = static_cast<uint8_t>(value);
}

uint16_t get16(const Bytes& from, size_t at) { return static_cast<uint16_t>(from[at] << 8 | from[at + 1]); }

bool is_v6(const Bytes& frame) { return get16(frame, 12) == 0x86dd; }
size_t tcp_at(const Bytes& frame) {
  if (!is_v6(frame)) return kEthernet + (frame[kEthernet] & 15u) * 4u;
  const size_t next = kEthernet + 40;
  return frame[kEthernet + 6] == kTcp ? next : next + 8u * (frame[next + 1] + 1u);
}

void append_ipv6(Bytes& frame, const Segment& segment, size_t tcp_length) {
  put32(frame, 0x60012345);
  // With an extension that tells the length, the header has none.
  put16(frame, segment.extension.empty() ? static_cast<uint32_t>(tcp_length) : 0);
  put16(frame, (segment.extension.empty() ? kTcp << 8 : 0) | 64);
  append(frame, segment.source.data(), 16);
  append(frame, segment.target.data(), 16);
  append(frame, segment.extension);
}

void append_ipv4(Bytes& frame, const Segment& segment, size_t tcp_length) {
  const size_t header = 20 + segment.ip_options.size();
  put16(frame, static_cast<uint32_t>((0x40 | header / 4) << 8));
  put16(frame, segment.no_length ? 0 : static_cast<uint32_t>(header + tcp_length));
  put32(frame, 0x12344000);  // an identification, and "do not fragment"
  put32(frame, 0x40060000);  // hop limit, TCP, no checksum yet
  append(frame, segment.source.data() + 12, 4);
  append(frame, segment.target.data() + 12, 4);
  append(frame, segment.ip_options);
  set16(frame, kEthernet + 10, static_cast<uint16_t>(~sum_of(&frame[kEthernet], header)));
}

// Of the pseudo header of a segment that is as long as what the frame's IP header tells.
uint16_t pseudo_sum(const Bytes& frame, size_t tcp_length) {
  const size_t address = is_v6(frame) ? 16 : 4;
  const auto length = static_cast<uint32_t>(tcp_length);
  return sum_of(&frame[kEthernet + (is_v6(frame) ? 8u : 12u)], 2 * address,
                kTcp + (length & 0xffff) + (length >> 16));
}

size_t tcp_length_of(const Bytes& frame) {
  const size_t told = get16(frame, kEthernet + (is_v6(frame) ? 4u : 2u));
  const size_t before_tcp = tcp_at(frame) - kEthernet;
  if (told == 0) return frame.size() - kEthernet - before_tcp;
  return is_v6(frame) ? told : told - before_tcp;
}

}  // namespace

void put16(Bytes& to, uint32_t value) {
  to.push_back(static_cast<uint8_t>(value >> 8));
  to.push_back(static_cast<uint8_t>(value));
}

void put32(Bytes& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}

Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }

uint16_t sum_of(const uint8_t* data, size_t length, uint32_t start) {
  uint64_t sum = start;
  for (size_t i = 0; i < length; i++) sum += i % 2 == 0 ? uint64_t{data[i]} << 8 : data[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

Bytes frame_of(const Segment& segment, Sums sums) {
  Bytes frame(12);  // the programs do not look at Ethernet addresses
  put16(frame, segment.v6 ? 0x86dd : 0x0800);
  const size_t tcp_length = kTcpHeader + segment.options.size() + segment.payload.size();
  if (segment.v6) {
    append_ipv6(frame, segment, tcp_length);
  } else {
    append_ipv4(frame, segment, tcp_length);
  }
  const size_t tcp = frame.size();
  put16(frame, segment.source_port);
  put16(frame, segment.target_port);
  put32(frame, segment.seq);
  put32(frame, segment.ack);
  const size_t words = (kTcpHeader + segment.options.size()) / 4;
  put16(frame, static_cast<uint32_t>(words << 12 | (segment.reserved & 15u) << 8 | segment.flags));
  put16(frame, segment.window);
  put16(frame, 0);
  put16(frame, segment.urgent);
  append(frame, segment.options);
  append(frame, segment.payload);
  const uint16_t pseudo = pseudo_sum(frame, tcp_length);
  const auto full = static_cast<uint16_t>(~sum_of(&frame[tcp], tcp_length, pseudo));
  set16(frame, tcp + kTcpCheck, sums == Sums::partial ? pseudo : full);
  append(frame, segment.padding);
  return frame;
}

std::string wrong_sums(const Bytes& frame, Sums sums) {
  if (frame.empty()) return "the packet does not add up to the card's number any more";
  if (!is_v6(frame) && sum_of(&frame[kEthernet], tcp_at(frame) - kEthernet) != 0xffff) {
    return "the checksum of the IP header is wrong";
  }
  const size_t length = tcp_length_of(frame);
  const uint16_t pseudo = pseudo_sum(frame, length);
  if (sums == Sums::partial) {
    const uint16_t stands = get16(frame, tcp_at(frame) + kTcpCheck);
    return stands % 0xffff == pseudo % 0xffff ? "" : "the sum of the pseudo header is wrong";
  }
  if (sum_of(&frame[tcp_at(frame)], length, pseudo) != 0xffff) return "the checksum of TCP is wrong";
  return "";
}

std::string difference(const Bytes& got, const Bytes& want) {
  std::string text;
  if (got.size() != want.size()) {
    text = std::to_string(got.size()) + " bytes instead of " + std::to_string(want.size()) + "; ";
  }
  for (size_t i = 0; i < got.size() && i < want.size(); i++) {
    if (got[i] == want[i]) continue;
    char line[64];
    snprintf(line, sizeof line, "[%zu] %02x instead of %02x; ", i, got[i], want[i]);
    text += line;
  }
  return text;
}

Address address_of(const char* text) {
  Address address{};
  if (inet_pton(AF_INET6, text, address.data()) == 1) return address;
  address[10] = address[11] = 0xff;
  inet_pton(AF_INET, text, &address[12]);
  return address;
}

ls_key key_of(const Address& local, uint16_t local_port, const Address& remote, uint16_t remote_port) {
  ls_key key{};
  memcpy(key.local, local.data(), 16);
  memcpy(key.remote, remote.data(), 16);
  key.local_port = htons(local_port);
  key.remote_port = htons(remote_port);
  return key;
}

}  // namespace longsplice::programs
