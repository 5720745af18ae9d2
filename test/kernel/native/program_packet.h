// Frames with a TCP segment, made byte by byte from what they are to say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../../../native/bpf/include/abi.h"

namespace longsplice::programs {

using Bytes = std::vector<uint8_t>;
using Address = std::array<uint8_t, 16>;  // IPv4 is mapped

constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20;
constexpr size_t kEthernet = 14;

// Who vouches for a frame's checksums, and how.
enum class Sums : uint8_t {
  none,      // nobody: they are right as they stand
  complete,  // the card added up everything behind the Ethernet header
  partial,   // the card is to finish the one of TCP; so far it is that of the pseudo header
};

struct Segment {
  bool v6 = false;
  Address source{};
  Address target{};
  uint16_t source_port = 0;
  uint16_t target_port = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint8_t reserved = 0;  // the four bits before the flags
  uint8_t flags = kAck;
  uint16_t window = 0;
  uint16_t urgent = 0;
  Bytes options;     // of TCP; whole words
  Bytes ip_options;  // whole words
  Bytes payload;
  Bytes padding;           // behind the end that the IP header tells
  bool no_length = false;  // the header of IPv4 tells 0, as for more than 64 KB
  Bytes extension;         // of IPv6, hop by hop; its first byte tells what follows
};

Bytes frame_of(const Segment& segment, Sums sums = Sums::none);
// Adds up the whole frame anew. Empty when its checksums are right for whoever gets it.
std::string wrong_sums(const Bytes& frame, Sums sums = Sums::none);
// Where the frames differ, or nothing.
std::string difference(const Bytes& got, const Bytes& want);

// The one's complement sum of 16-bit words (RFC 1071), not inverted.
uint16_t sum_of(const uint8_t* data, size_t length, uint32_t start = 0);

Bytes bytes_of(const std::string& text);
void put16(Bytes& to, uint32_t value);
void put32(Bytes& to, uint32_t value);
Address address_of(const char* text);
ls_key key_of(const Address& local, uint16_t local_port, const Address& remote, uint16_t remote_port);

}  // namespace longsplice::programs
