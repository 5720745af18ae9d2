// What a route changes in the heads that pass: `setRequestHeaders` and its three siblings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longsplice {

// What the variables of a template stand for during one exchange.
struct TemplateValues {
  std::string_view client_address;
  std::string_view client_port;
  std::string_view request_id;
  std::string_view host;
  std::string_view backend_address;
};

// A header value with variables, e.g. "{client.address}", cut into pieces once.
class Template {
 public:
  // `text` was checked by the configuration: an unknown variable stays literal text here.
  explicit Template(std::string_view text);
  void append_to(std::string& out, const TemplateValues& values) const;

 private:
  enum class Variable : uint8_t { none, client_address, client_port, request_id, host, backend_address };
  struct Piece {
    std::string literal;
    Variable variable;
  };
  std::vector<Piece> pieces_;
};

struct HeaderEdits {
  struct Set {
    std::string name;
    Template value;
  };
  std::vector<Set> set;
  std::vector<std::string> remove;  // lowercase

  // True when a field of that name must not be taken over from the message: it is removed or set anew.
  bool replaces(std::string_view name) const;
};

struct HeaderRules {
  HeaderEdits request;
  HeaderEdits response;
  // What this process has to see: heads in both directions; those of requests; or those of requests that do not lead where
  // their connection leads.
  enum class Forward : uint8_t { exchange, request, connection };
  Forward forward = Forward::exchange;
};

}  // namespace longsplice
