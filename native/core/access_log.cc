#include "access_log.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace longsplice {
namespace {

void append_number(std::string& out, uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

// Microseconds as milliseconds with three decimals.
void append_milliseconds(std::string& out, uint64_t micros) {
  append_number(out, micros / 1000);
  const uint64_t rest = micros % 1000;
  const std::array<char, 4> decimals{'.', static_cast<char>('0' + rest / 100),
                                     static_cast<char>('0' + rest / 10 % 10),
                                     static_cast<char>('0' + rest % 10)};
  out.append(decimals.data(), decimals.size());
}

// By byte: it stands for itself between quotes.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t byte = 0x20; byte < 0x7f; byte++) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}();

bool is_plain(char c) { return kPlain[static_cast<unsigned char>(c)]; }

// Appends `text` with `escape` called for each byte that could break the quotes or the line. What lies between two
// of them, which is nearly always all of it, is copied in one go.
template <typename Escape>
void append_escaped(std::string& out, std::string_view text, Escape escape) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* const special = std::find_if_not(at, end, is_plain);
    out.append(at, special);
    if (special == end) return;
    escape(*special);
    at = special + 1;
  }
}

void append_hex(std::string& out, const char (&digits)[17], char c) {
  const auto byte = static_cast<unsigned char>(c);
  out.push_back(digits[byte >> 4]);
  out.push_back(digits[byte & 15]);
}

// What a client sent must not be able to forge a line or break the reader's parser. Bytes above ASCII are taken as
// Latin-1 in JSON, so that the line is valid UTF-8 whatever came.
void append_json(std::string& out, std::string_view text) {
  append_escaped(out, text, [&](char c) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else {
      out.append("\\u00");
      append_hex(out, "0123456789abcdef", c);
    }
  });
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":\"");
  append_json(out, value);
  out.push_back('"');
}

// As nginx and Apache httpd write it: \xHH for what would break the quotes or the line.
void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  if (text.empty()) out.push_back('-');
  append_escaped(out, text, [&](char c) {
    out.append("\\x");
    append_hex(out, "0123456789ABCDEF", c);
  });
  out.push_back('"');
}

}  // namespace

void AccessLog::write(AccessLogFormat format, const AccessRecord& record) {
  if (format == AccessLogFormat::off) return;
  update_time();
  if (format == AccessLogFormat::json) {
    write_json(record);
  } else {
    write_combined(record);
  }
}

void AccessLog::update_time() {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  const int64_t millisecond = now.tv_nsec / 1'000'000;
  if (now.tv_sec == second_ && millisecond == millisecond_) return;
  if (now.tv_sec != second_) {
    second_ = now.tv_sec;
    tm utc;
    gmtime_r(&now.tv_sec, &utc);
    std::array<char, 40> text;
    iso_time_.assign(text.data(), strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.000Z", &utc));
    common_time_.assign(text.data(), strftime(text.data(), text.size(), "%d/%b/%Y:%H:%M:%S +0000", &utc));
  }
  millisecond_ = millisecond;
  const size_t digits = iso_time_.size() - 4;
  iso_time_[digits] = static_cast<char>('0' + millisecond / 100);
  iso_time_[digits + 1] = static_cast<char>('0' + millisecond / 10 % 10);
  iso_time_[digits + 2] = static_cast<char>('0' + millisecond % 10);
}

void AccessLog::write_json(const AccessRecord& record) {
  std::string& out = lines_;
  out.append("{\"time\":\"").append(iso_time_).append("\",\"client\":\"");
  const bool bracket = record.client.find(':') != std::string_view::npos;
  if (bracket) out.push_back('[');
  append_json(out, record.client);
  if (bracket) out.push_back(']');
  if (record.client_port != 0) {
    out.push_back(':');
    append_number(out, record.client_port);
  }
  out.push_back('"');
  append_member(out, "method", record.method);
  append_member(out, "target", record.target);
  append_member(out, "host", record.host);
  append_member(out, "protocol", record.protocol);
  out.append(",\"status\":");
  append_number(out, record.status);
  out.append(",\"bytes\":");
  append_number(out, record.bytes);
  out.append(",\"duration_ms\":");
  append_milliseconds(out, record.duration_us);
  out.append(",\"head_ms\":");
  append_milliseconds(out, record.head_us);
  append_member(out, "route", record.route);
  append_member(out, "pool", record.pool);
  append_member(out, "backend", record.backend);
  append_member(out, "engine", record.engine);
  append_member(out, "forward", record.forward);
  append_member(out, "id", record.id);
  out.append("}\n");
}

void AccessLog::write_combined(const AccessRecord& record) {
  std::string& out = lines_;
  out.append(record.client).append(" - - [").append(common_time_).append("] ");
  std::string line;
  line.append(record.method).append(" ").append(record.target);
  if (!record.protocol.empty()) line.append(" ").append(record.protocol);
  append_quoted(out, line);
  out.push_back(' ');
  append_number(out, record.status);
  out.push_back(' ');
  append_number(out, record.bytes);
  out.push_back(' ');
  append_quoted(out, record.referer);
  out.push_back(' ');
  append_quoted(out, record.user_agent);
  out.push_back('\n');
}

}  // namespace longsplice
