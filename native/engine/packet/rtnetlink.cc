#include "rtnetlink.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace longsplice::packet {

namespace {

// A dump that failed in its middle says so at its end.
int end_of_dump(const nlmsghdr& message, int otherwise) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(int))) return otherwise;
  const int error = header_of<int>(message);
  return error < 0 ? -error : otherwise;
}

}  // namespace

void Request::append(const void* data, size_t length) {
  if (length > bytes_.size() - length_) abort();
  if (length != 0) memcpy(bytes_.data() + length_, data, length);
  length_ = NLMSG_ALIGN(length_ + length);
}

void Request::put(uint16_t type, std::span<const uint8_t> value) {
  const rtattr header{static_cast<uint16_t>(RTA_LENGTH(0) + value.size()), type};
  append(&header, sizeof header);
  append(value.data(), value.size());
}

void Request::put(uint16_t type, uint32_t value) {
  put(type, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
}

// The kernel wants the terminator, which a string_view need not have.
void Request::put(uint16_t type, std::string_view text) {
  const rtattr header{static_cast<uint16_t>(RTA_LENGTH(0) + text.size() + 1), type};
  append(&header, sizeof header);
  std::array<char, 256> terminated{};
  if (text.size() >= terminated.size()) abort();
  text.copy(terminated.data(), text.size());
  append(terminated.data(), text.size() + 1);
}

size_t Request::open(uint16_t type) {
  const size_t opened = length_;
  put(type, std::span<const uint8_t>());
  return opened;
}

void Request::close(size_t opened) {
  reinterpret_cast<rtattr*>(bytes_.data() + opened)->rta_len = static_cast<uint16_t>(length_ - opened);
}

std::span<const uint8_t> Attributes::find(uint16_t type) const {
  std::span<const uint8_t> rest = bytes_;
  while (rest.size() >= sizeof(rtattr)) {
    const auto& attribute = *reinterpret_cast<const rtattr*>(rest.data());
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > rest.size()) break;
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
      return rest.subspan(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    }
    rest = rest.subspan(std::min<size_t>(RTA_ALIGN(attribute.rta_len), rest.size()));
  }
  return {};
}

uint32_t Attributes::number(uint16_t type) const {
  const std::span<const uint8_t> value = find(type);
  uint32_t number = 0;
  if (value.size() == sizeof number) memcpy(&number, value.data(), sizeof number);
  return number;
}

std::string_view Attributes::text(uint16_t type) const {
  const std::span<const uint8_t> value = find(type);
  const auto* begin = reinterpret_cast<const char*>(value.data());
  return {begin, value.empty() ? 0 : strnlen(begin, value.size())};
}

Request all_interfaces() {
  Request request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  // Statistics would be most of the answer.
  request.put(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  return request;
}

RtSocket::RtSocket(int protocol) : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)) {}

int RtSocket::exchange(Request& request, OnMessage each, void* call) {
  auto& question = *reinterpret_cast<nlmsghdr*>(request.bytes_.data());
  question.nlmsg_len = static_cast<uint32_t>(request.length_);
  // A dump ends with a message of its own, everything else with an acknowledgement.
  const bool dump = (question.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  question.nlmsg_flags |= NLM_F_REQUEST;
  if (!dump) question.nlmsg_flags |= NLM_F_ACK;
  question.nlmsg_seq = ++sequence_;
  if (send(fd_.get(), request.bytes_.data(), request.length_, 0) < 0) return errno;

  int interrupted = 0;
  for (;;) {
    const ssize_t got = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (static_cast<size_t>(got) > buffer_.size()) return EMSGSIZE;
    size_t rest = static_cast<size_t>(got);
    for (const uint8_t* at = buffer_.data(); rest >= sizeof(nlmsghdr);) {
      const auto& message = *reinterpret_cast<const nlmsghdr*>(at);
      if (message.nlmsg_len < sizeof(nlmsghdr) || message.nlmsg_len > rest) return EBADMSG;
      const size_t step = std::min<size_t>(NLMSG_ALIGN(message.nlmsg_len), rest);
      at += step;
      rest -= step;
      // What is left of an answer that was given up.
      if (message.nlmsg_seq != sequence_) continue;
      if (message.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = EINTR;
      if (message.nlmsg_type == NLMSG_DONE) return end_of_dump(message, interrupted);
      if (message.nlmsg_type == NLMSG_ERROR) return -header_of<nlmsgerr>(message).error;
      each(message, call);
    }
  }
}

}  // namespace longsplice::packet
