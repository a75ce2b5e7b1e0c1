// Arguments of an effect, read with a clear word where one is missing: policies and executors are
// written apart.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/event.h"
#include "daemon/result.h"

namespace muster {

class Arguments {
 public:
  explicit Arguments(const Effect& effect)
      : Arguments(effect.arguments, effect.handler + " " + effect.verb) {}
  Arguments(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  // These note the first thing that is missing or of another type and give an empty value; status()
  // then fails.
  std::string text(const char* name) {
    const Json* value = find(name);
    if (value == nullptr || !value->is_string()) {
      return complain(name, "a text"), std::string{};
    }
    return value->get<std::string>();
  }
  std::string text_or(const char* name, std::string otherwise) {
    return find(name) == nullptr ? std::move(otherwise) : text(name);
  }
  bool flag_or(const char* name, bool otherwise) {
    const Json* value = find(name);
    if (value == nullptr) {
      return otherwise;
    }
    return value->is_boolean() ? value->get<bool>() : (complain(name, "true or false"), otherwise);
  }
  std::uint64_t unsigned_number(const char* name) {
    const Json* value = find(name);
    if (value == nullptr || !value->is_number_integer() ||
        (!value->is_number_unsigned() && value->get<std::int64_t>() < 0)) {
      return complain(name, "a number that is not negative"), 0;
    }
    return value->get<std::uint64_t>();
  }
  std::uint64_t unsigned_or(const char* name, std::uint64_t otherwise) {
    return find(name) == nullptr ? otherwise : unsigned_number(name);
  }
  std::int64_t number_or(const char* name, std::int64_t otherwise) {
    const Json* value = find(name);
    if (value == nullptr) {
      return otherwise;
    }
    return value->is_number_integer() ? value->get<std::int64_t>()
                                      : (complain(name, "a number"), otherwise);
  }
  const Json& list(const char* name) {
    static const Json empty = Json::array();
    const Json* value = find(name);
    if (value == nullptr || !value->is_array()) {
      complain(name, "a list");
      return empty;
    }
    return *value;
  }

  [[nodiscard]] Result<void> status() const {
    if (trouble_.empty()) {
      return {};
    }
    return fail(Errc::invalid, trouble_);
  }

 private:
  const Json* find(const char* name) const {
    if (!json_.is_object()) {
      return nullptr;
    }
    const auto it = json_.find(name);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  void complain(const char* name, const char* wanted) {
    if (trouble_.empty()) {
      trouble_ = fmt::format("{}: argument \"{}\" must be {}", where_, name, wanted);
    }
  }

  const Json& json_;
  std::string where_;
  std::string trouble_;
};

}  // namespace muster
