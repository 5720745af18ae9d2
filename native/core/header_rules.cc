#include "header_rules.h"

#include <array>
#include <utility>

#include "text.h"

namespace longsplice {

Template::Template(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Variable>, 5> kVariables{{
      {"{client.address}", Variable::client_address},
      {"{client.port}", Variable::client_port},
      {"{request.id}", Variable::request_id},
      {"{host}", Variable::host},
      {"{backend.address}", Variable::backend_address},
  }};
  std::string literal;
  while (!text.empty()) {
    bool found = false;
    for (const auto& [name, variable] : kVariables) {
      if (!text.starts_with(name)) continue;
      pieces_.push_back({std::exchange(literal, {}), variable});
      text.remove_prefix(name.size());
      found = true;
      break;
    }
    if (!found) {
      literal.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  if (!literal.empty()) pieces_.push_back({std::move(literal), Variable::none});
}

void Template::append_to(std::string& out, const TemplateValues& values) const {
  for (const Piece& piece : pieces_) {
    out.append(piece.literal);
    switch (piece.variable) {
      case Variable::none:
        break;
      case Variable::client_address:
        out.append(values.client_address);
        break;
      case Variable::client_port:
        out.append(values.client_port);
        break;
      case Variable::request_id:
        out.append(values.request_id);
        break;
      case Variable::host:
        out.append(values.host);
        break;
      case Variable::backend_address:
        out.append(values.backend_address);
        break;
    }
  }
}

bool HeaderEdits::replaces(std::string_view name) const {
  for (const std::string& removed : remove) {
    if (same_for_cgi(name, removed)) return true;
  }
  for (const Set& entry : set) {
    if (same_for_cgi(name, entry.name)) return true;
  }
  return false;
}

}  // namespace longsplice
