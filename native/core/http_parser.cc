#include "http_parser.h"

#include "text.h"

namespace longsplice {

using namespace llhttp;

struct HttpParser::Hooks {
  static HttpParser& self(void* parser) { return *static_cast<HttpParser*>(parser); }

  static int target(void* parser, const char* at, size_t length) {
    HttpParser& p = self(parser);
    Span& span = p.head_->target;
    if (span.length == 0) span.offset = static_cast<uint32_t>(at - p.base_);
    span.length += static_cast<uint32_t>(length);
    return kOk;
  }

  static int header_field(void* parser, const char* at, size_t length) {
    HttpParser& p = self(parser);
    if (p.in_body_) return trailer_field(p, at, length);
    const auto offset = static_cast<uint32_t>(at - p.base_);
    auto& fields = p.head_->fields;
    // llhttp reports a name in pieces when the bytes arrived in pieces; a new name never adjoins the one before it.
    if (!fields.empty() && fields.back().name_offset + fields.back().name_length == offset) {
      fields.back().name_length += static_cast<uint32_t>(length);
      return kOk;
    }
    if (fields.size() >= p.limits_.fields) {
      p.limit_ = Limit::head;
      return kUser;
    }
    fields.push_back({offset, static_cast<uint32_t>(length), 0, 0, HeaderId::other});
    return kOk;
  }

  static int header_value(void* parser, const char* at, size_t length) {
    HttpParser& p = self(parser);
    if (p.in_body_) {
      p.in_trailer_value_ = true;
      p.trailer_value_.append(at, length);
      return kOk;
    }
    HeaderField& field = p.head_->fields.back();
    if (field.value_offset == 0) field.value_offset = static_cast<uint32_t>(at - p.base_);
    field.value_length += static_cast<uint32_t>(length);
    return kOk;
  }

  static int trailer_field(HttpParser& p, const char* at, size_t length) {
    if (p.in_trailer_value_) p.finish_trailer_value();
    if (p.trailers_.size() >= p.limits_.fields) return kUser;
    p.trailer_name_.append(at, length);
    return kOk;
  }

  // Stopping here leaves bodies of known length to plain byte counting and lets the head be judged as a whole.
  static int headers_complete(void* parser) { return self(parser).in_body_ ? kOk : kPaused; }

  static int body(void* parser, const char* at, size_t length) {
    self(parser).pieces_->emplace_back(at, length);
    return kOk;
  }

  static int message_complete(void* parser) {
    HttpParser& p = self(parser);
    if (!p.trailer_name_.empty()) p.finish_trailer_value();
    p.message_complete_ = true;
    return kPaused;
  }
};

namespace {

Settings parser_settings;

// RFC 9112, 2.2: a line ends in CR LF, and a recipient must not take a bare CR for its end. llhttp skips any CR and LF
// before a start line, and takes a second CR behind a reason phrase.
bool has_bare_line_end(std::string_view head) {
  for (size_t at = head.find('\r'); at != head.npos; at = head.find('\r', at + 2)) {
    if (at + 1 == head.size() || head[at + 1] != '\n') return true;
  }
  for (size_t at = head.find('\n'); at != head.npos; at = head.find('\n', at + 1)) {
    if (at == 0 || head[at - 1] != '\r') return true;
  }
  return false;
}

}  // namespace

const char* HttpParser::initialize() {
  if (const char* missing = discover()) return missing;
  parser_settings = make_settings({
      .on_target = Hooks::target,
      .on_header_field = Hooks::header_field,
      .on_header_value = Hooks::header_value,
      .on_headers_complete = Hooks::headers_complete,
      .on_body = Hooks::body,
      .on_message_complete = Hooks::message_complete,
  });
  return nullptr;
}

void HttpParser::start(Kind kind, MessageHead* head, HeadLimits limits) {
  kind_ = kind;
  head_ = head;
  limits_ = limits;
  reason_ = "";
  limit_ = Limit::none;
  in_body_ = in_trailer_value_ = message_complete_ = false;
  trailers_.clear();
  framing_bytes_ = 0;
  trailer_name_.clear();
  trailer_value_.clear();
  head->clear();
  llhttp_init(state_, kind == Kind::request ? kTypeRequest : kTypeResponse, &parser_settings);
}

ParseStatus HttpParser::parse_head(const char* base, size_t from, size_t to) {
  base_ = base;
  head_->rebase(base);
  const int result = llhttp_execute(state_, base + from, to - from);
  if (result == kPaused) {
    head_->length = static_cast<uint32_t>(llhttp_get_error_pos(state_) - base);
    if (has_bare_line_end({base, head_->length})) {
      reason_ = "bare CR or LF";
      return ParseStatus::error;
    }
    if (head_->length > limits_.bytes) {
      limit_ = head_->target.length > limits_.bytes ? Limit::target : Limit::head;
      return ParseStatus::error;
    }
    head_->major = llhttp_get_http_major(state_);
    head_->minor = llhttp_get_http_minor(state_);
    if (kind_ == Kind::request) {
      head_->method = llhttp_get_method(state_);
    } else {
      head_->status = static_cast<uint16_t>(llhttp_get_status_code(state_));
    }
    for (HeaderField& field : head_->fields) {
      const std::string_view raw = head_->value(field);
      const std::string_view trimmed = trim_ows(raw);
      field.value_length = static_cast<uint32_t>(trimmed.size());
      field.id = classify_header(head_->name(field));
      // llhttp takes a tab behind "chunked" for a part of the coding's name: the two readings must not part.
      if (field.id == HeaderId::transfer_encoding && raw.find('\t', trimmed.size()) != raw.npos) {
        reason_ = "tab behind the transfer coding";
        return ParseStatus::error;
      }
    }
    return ParseStatus::complete;
  }
  if (result != kOk) {
    if (limit_ == Limit::none) reason_ = llhttp_get_error_reason(state_);
    return ParseStatus::error;
  }
  if (to > limits_.bytes) {
    limit_ = head_->fields.empty() && head_->target.length + 16 > limits_.bytes ? Limit::target : Limit::head;
    return ParseStatus::error;
  }
  return ParseStatus::need_more;
}

ParseStatus HttpParser::parse_chunked(std::string_view data, std::vector<std::string_view>& pieces,
                                      size_t& used) {
  if (!in_body_) {
    in_body_ = true;
    llhttp_resume(state_);
  }
  pieces_ = &pieces;
  const int result = llhttp_execute(state_, data.data(), data.size());
  const bool complete = message_complete_ && result == kPaused;
  used = complete ? static_cast<size_t>(llhttp_get_error_pos(state_) - data.data()) : data.size();
  if (!framing_fits(data.substr(0, used), pieces)) {
    reason_ = "too many bytes of chunk extensions or trailers";
    return ParseStatus::error;
  }
  if (complete) return ParseStatus::complete;
  if (result == kOk) return ParseStatus::need_more;
  reason_ = result == kUser ? "too many trailer fields" : llhttp_get_error_reason(state_);
  return ParseStatus::error;
}

bool HttpParser::framing_fits(std::string_view data, std::vector<std::string_view>& pieces) {
  const char* at = data.data();
  for (size_t i = 0; i < pieces.size(); i++) {
    framing_bytes_ += static_cast<size_t>(pieces[i].data() - at);
    if (framing_bytes_ > limits_.bytes) {
      // Content behind it is not passed on, as if the bytes had come one at a time.
      pieces.resize(i);
      return false;
    }
    framing_bytes_ = 0;
    at = pieces[i].data() + pieces[i].size();
  }
  framing_bytes_ += static_cast<size_t>(data.data() + data.size() - at);
  return framing_bytes_ <= limits_.bytes;
}

// llhttp has one error code for versions and for lines without one; only its text tells them apart.
bool HttpParser::version_unknown() const {
  const std::string_view reason(reason_);
  return reason == "Invalid HTTP version" || reason == "Pause on PRI/Upgrade";
}

// Fields that frame or route a message must not be smuggled in behind its body (RFC 9110, 6.5.1).
void HttpParser::finish_trailer_value() {
  if (classify_header(trailer_name_) == HeaderId::other) {
    trailers_.emplace_back(trailer_name_, trim_ows(trailer_value_));
  }
  trailer_name_.clear();
  trailer_value_.clear();
  in_trailer_value_ = false;
}

}  // namespace longsplice
