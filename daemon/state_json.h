// State as JSON and back, for the engine's snapshot.
//
//   struct Reading {
//     bool again = false;
//     std::uint64_t diskseq = 0;
//     MUSTER_STATE(again, diskseq)
//   };
//   Json json = state::save(reading);
//   Result<void> restored = state::restore(json, reading, "probe");
//
// MUSTER_STATE names all fields in the order of their declaration: one that is added later and not
// named does not compile. A field that has its default value is left out, so that what is usual
// costs nothing. Reading back is strict: a field that is missing has its default, an unknown one or
// one of another type is an error that says where.
#pragma once

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "daemon/devpath.h"
#include "daemon/event.h"
#include "daemon/result.h"

// Inside a struct or class, in its public part.
#define MUSTER_STATE(...)                                          \
  template <typename Self, typename Each>                          \
  static void state_fields(Self& self, Each&& each) {              \
    auto& [__VA_ARGS__] = self;                                    \
    std::forward<Each>(each)(#__VA_ARGS__, std::tie(__VA_ARGS__)); \
  }
// The same for a type of somebody else's; at global scope.
#define MUSTER_STATE_OF(Type, ...)       \
  template <>                            \
  struct muster::state::FieldsOf<Type> { \
    MUSTER_STATE(__VA_ARGS__)            \
  };

namespace muster::state {

// Thrown by restore_value() only, and caught in restore().
class Malformed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  [[nodiscard]] Malformed within(std::string_view where) const {
    const std::string_view text = what();
    return Malformed(fmt::format("{}{}{}", where, text.starts_with(':') ? "" : ".", text));
  }
};

// Follows from the rest and is made anew: not written.
template <typename T>
struct Derived {
  T value{};
};

template <typename T>
struct FieldsOf {
  template <typename Self, typename Each>
    requires requires(Self& self, Each each) { T::state_fields(self, each); }
  static void state_fields(Self& self, Each&& each) {
    T::state_fields(self, std::forward<Each>(each));
  }
};

// Types that say themselves how they are written: specialise with `static Json save(const T&)` and
// `static void restore(const Json&, T&)`, which may throw Malformed.
template <typename T>
struct Custom;

// The names of an enum's enumerators, which count from 0 without gaps.
template <typename E>
struct EnumNames {
  static constexpr std::size_t kMost = 16;
  template <E value>
  static constexpr std::string_view name() {
    // "... [E = X; E value = muster::md::Stage::ready; std::string_view = ..." from GCC,
    // "... [E = X, value = muster::md::Stage::ready]" from Clang; a number in parentheses and a
    // bare number where there is no such enumerator.
    constexpr std::string_view text = __PRETTY_FUNCTION__;
    constexpr auto at = text.rfind("value = ") + 8;
    constexpr auto full = text.substr(at, text.find_first_of(";]", at) - at);
    if constexpr (full.front() == '(' || (full.front() >= '0' && full.front() <= '9')) {
      return {};
    } else {
      return full.substr(full.rfind(':') + 1);
    }
  }
  template <std::size_t... i>
  static constexpr auto make(std::index_sequence<i...>) {
    return std::array<std::string_view, kMost>{name<static_cast<E>(i)>()...};
  }
  static constexpr auto kNames = make(std::make_index_sequence<kMost>());
  static_assert(!kNames[0].empty() && kNames[kMost - 1].empty());
};

template <typename T>
concept HasFields =
    requires(T& value) { FieldsOf<T>::state_fields(value, [](const char*, auto) {}); };
template <typename T>
concept HasCustom = requires(const T& value) { Custom<T>::save(value); };
template <typename T>
concept TextMap = requires {
  typename T::mapped_type;
  requires std::same_as<typename T::key_type, std::string>;
};
template <typename T>
constexpr bool is_dense_map = false;
template <typename Key, typename Value, typename Hash>
constexpr bool is_dense_map<DenseMap<Key, Value, Hash>> = true;

template <typename T>
constexpr bool is_optional = false;
template <typename T>
constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
constexpr bool is_pair = false;
template <typename A, typename B>
constexpr bool is_pair<std::pair<A, B>> = true;

template <typename T>
[[nodiscard]] Json save(const T& value);

// Calls `each(name, field)` for every field.
template <typename Self, typename Each>
void for_each_field(Self& self, Each each) {
  FieldsOf<std::remove_const_t<Self>>::state_fields(self, [&](std::string_view names, auto fields) {
    const auto one = [&](auto& field) {
      const auto comma = names.find(',');
      auto name = names.substr(0, comma);
      names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
      name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
      if (name.ends_with('_')) {
        name.remove_suffix(1);
      }
      each(name, field);
    };
    std::apply([&](auto&... field) { (one(field), ...); }, fields);
  });
}

template <typename T>
[[nodiscard]] const std::vector<Json>& defaults_of() {
  static const auto values = [] {
    std::vector<Json> all;
    const T initial{};
    for_each_field(initial,
                   [&](std::string_view, const auto& field) { all.push_back(save(field)); });
    return all;
  }();
  return values;
}

template <typename T>
Json save(const T& value) {
  if constexpr (HasCustom<T>) {
    return Custom<T>::save(value);
  } else if constexpr (HasFields<T>) {
    Json json = Json::object();
    const auto& defaults = defaults_of<T>();
    std::size_t index = 0;
    for_each_field(value, [&](std::string_view name, const auto& field) {
      Json saved = save(field);
      if (saved != defaults[index++]) {
        json[std::string(name)] = std::move(saved);
      }
    });
    return json;
  } else if constexpr (std::is_enum_v<T>) {
    return EnumNames<T>::kNames.at(static_cast<std::size_t>(value));
  } else if constexpr (is_optional<T>) {
    return value ? save(*value) : Json(nullptr);
  } else if constexpr (is_pair<T>) {
    return Json::array({save(value.first), save(value.second)});
  } else if constexpr (std::is_arithmetic_v<T> || std::same_as<T, std::string> ||
                       std::same_as<T, Json>) {
    return value;
  } else if constexpr (is_dense_map<T>) {
    Json json = Json::object();
    for (const auto& [key, each] : value.unsorted()) {
      json[std::string(key)] = save(each);
    }
    return json;
  } else if constexpr (TextMap<T>) {
    Json json = Json::object();
    for (const auto& [key, each] : value) {
      json[key] = save(each);
    }
    return json;
  } else {
    Json json = Json::array();
    for (const typename T::value_type& each : value) {
      json.push_back(save(each));
    }
    return json;
  }
}

inline void expect(bool good, const char* wanted) {
  if (!good) {
    throw Malformed(fmt::format(": must be {}", wanted));
  }
}

template <typename T>
void restore_value(const Json& json, T& value);

template <typename T>
void restore_within(const Json& json, T& value, std::string_view where) {
  try {
    restore_value(json, value);
  } catch (const Malformed& error) {
    throw error.within(where);
  }
}

template <typename T>
void restore_value(const Json& json, T& value) {
  if constexpr (HasCustom<T>) {
    Custom<T>::restore(json, value);
  } else if constexpr (HasFields<T>) {
    expect(json.is_object(), "an object");
    std::size_t known = 0;
    for_each_field(value, [&](std::string_view name, auto& field) {
      if (const auto it = json.find(std::string(name)); it != json.end()) {
        ++known;
        restore_within(*it, field, name);
      }
    });
    if (known != json.size()) {
      for (auto it = json.begin(); it != json.end(); ++it) {
        const std::string& key = it.key();
        bool found = false;
        for_each_field(value, [&](std::string_view name, auto&) { found = found || name == key; });
        if (!found) {
          throw Malformed(fmt::format("{}: unknown", key.substr(0, 40)));
        }
      }
    }
  } else if constexpr (std::is_enum_v<T>) {
    expect(json.is_string(), "a word");
    const auto& name = json.get_ref<const std::string&>();
    for (std::size_t i = 0; i < EnumNames<T>::kMost && !EnumNames<T>::kNames[i].empty(); ++i) {
      if (EnumNames<T>::kNames[i] == name) {
        value = static_cast<T>(i);
        return;
      }
    }
    throw Malformed(": not a word that is known");
  } else if constexpr (is_optional<T>) {
    value.reset();
    if (!json.is_null()) {
      restore_value(json, value.emplace());
    }
  } else if constexpr (is_pair<T>) {
    expect(json.is_array() && json.size() == 2, "a pair");
    restore_within(json[0], value.first, "0");
    restore_within(json[1], value.second, "1");
  } else if constexpr (std::same_as<T, bool>) {
    expect(json.is_boolean(), "true or false");
    value = json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    const bool fits =
        json.is_number_unsigned()
            ? json.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())
            : json.is_number_integer() && std::in_range<T>(json.get<std::int64_t>());
    expect(fits, "a number in range");
    value = json.get<T>();
  } else if constexpr (std::same_as<T, std::string>) {
    expect(json.is_string(), "a text");
    value = json.get_ref<const std::string&>();
  } else if constexpr (std::same_as<T, Json>) {
    value = json;
  } else if constexpr (TextMap<T> || is_dense_map<T>) {
    expect(json.is_object(), "an object");
    value.clear();
    for (const auto& [key, each] : json.items()) {
      restore_within(each, value[key], key);
    }
  } else {
    expect(json.is_array(), "a list");
    value.clear();
    std::size_t index = 0;
    for (const auto& each : json) {
      typename T::value_type element{};
      restore_within(each, element, std::to_string(index++));
      value.insert(value.end(), std::move(element));
    }
  }
}

// `value` is whole afterwards, or half restored and of no use where this fails.
template <typename T>
[[nodiscard]] Result<void> restore(const Json& json, T& value, std::string_view where) {
  try {
    restore_within(json, value, where);
    return {};
  } catch (const std::exception& error) {
    return fail(Errc::invalid, error.what());
  }
}

template <typename T>
struct Custom<Derived<T>> {
  static Json save(const Derived<T>&) { return nullptr; }
  static void restore(const Json&, Derived<T>& derived) { derived = {}; }
};
template <>
struct Custom<Devpath> {
  static Json save(const Devpath& path) { return path.str(); }
  static void restore(const Json& json, Devpath& path) {
    expect(json.is_string(), "a text");
    path = Devpath(json.get_ref<const std::string&>());
  }
};
template <>
struct Custom<DevpathSet> {
  static Json save(const DevpathSet& paths) {
    Json json = Json::array();
    for (const auto& path : paths.in_order()) {
      json.push_back(path->str());
    }
    return json;
  }
  static void restore(const Json& json, DevpathSet& paths) {
    expect(json.is_array(), "a list");
    paths = {};
    std::size_t index = 0;
    for (const auto& each : json) {
      Devpath path;
      restore_within(each, path, std::to_string(index++));
      paths.insert(path);
    }
  }
};

// A text that several hold.
template <>
struct Custom<std::shared_ptr<const std::string>> {
  static Json save(const std::shared_ptr<const std::string>& text) {
    return text == nullptr ? Json(nullptr) : Json(*text);
  }
  static void restore(const Json& json, std::shared_ptr<const std::string>& text) {
    text.reset();
    if (!json.is_null()) {
      expect(json.is_string(), "a text");
      text = std::make_shared<const std::string>(json.get_ref<const std::string&>());
    }
  }
};

// Long texts that stand in a value more than once (the metadata of a volume group is on each of its
// PVs) are moved into a list: {"texts": [...], "state": ...}. A string in "state" that begins with
// '$' is the number of such a text.
[[nodiscard]] Json share_texts(Json state);
[[nodiscard]] Result<Json> unshare_texts(const Json& shared);

}  // namespace muster::state

// For a policy: all of its private state, in the order of declaration. In the public part.
#define MUSTER_POLICY_STATE(...)                                  \
  MUSTER_STATE(__VA_ARGS__)                                       \
  [[nodiscard]] Json save() const override {                      \
    return ::muster::state::save(*this);                          \
  }                                                               \
  [[nodiscard]] Result<void> restore(const Json& json) override { \
    return ::muster::state::restore(json, *this, name());         \
  }
