// ASCII helpers. HTTP field names, hosts and list tokens compare without case in ASCII only (RFC 9110, 5.1).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longsplice {

inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

inline bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  }
  return true;
}

// CGI and what came after it make HTTP_X_USER of X-User and of X_User alike: a backend may not tell the two apart.
inline bool same_for_cgi(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto folded = [](char c) { return c == '_' ? '-' : ascii_lower(c); };
  for (size_t i = 0; i < a.size(); i++) {
    if (folded(a[i]) != folded(b[i])) return false;
  }
  return true;
}

inline std::string lowercase(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}

// Optional whitespace of RFC 9110, 5.6.3: space and horizontal tab.
inline std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `visit` with each non-empty element of a comma-separated list (RFC 9110, 5.6.1).
template <typename Visit>
void for_each_token(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view token = trim_ows(list.substr(0, comma));
    if (!token.empty()) visit(token);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace longsplice
