#pragma once

#include <string_view>
#include <vector>

namespace longsplice::fuzz {

// Every backend connection carries whole, unambiguous requests, and each of them is one that the client sent: same
// method, target, fields, framing and content. At the end one may be cut short.
void check_backends(std::string_view sent_by_client, const std::vector<std::string_view>& received);

// A client gets responses whose heads and chunks are well-formed. The last may be cut short.
void check_client(std::string_view sent_by_client, std::string_view received);

}  // namespace longsplice::fuzz
