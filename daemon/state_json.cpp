#include "daemon/state_json.h"

#include <charconv>
#include <unordered_map>

namespace muster::state {
namespace {

constexpr std::size_t kWorthSharing = 64;
// What one small text that is named very often may grow to.
constexpr std::size_t kMostUnshared = std::size_t{128} * 1024 * 1024;

struct Known {
  std::size_t count = 0;
  std::optional<std::size_t> number;
};
using Texts = std::unordered_map<std::string, Known>;

template <typename Each>
void for_each_text(Json& json, Each each) {
  if (auto* text = json.get_ptr<std::string*>()) {
    each(*text);
  } else if (json.is_structured()) {
    for (auto& child : json) {
      for_each_text(child, each);
    }
  }
}

bool begins_as_number(const std::string& text) {
  return text.starts_with('$');
}

}  // namespace

Json share_texts(Json state) {
  Texts texts;
  for_each_text(state, [&](const std::string& text) {
    if (text.size() >= kWorthSharing || begins_as_number(text)) {
      ++texts[text].count;
    }
  });
  Json list = Json::array();
  for_each_text(state, [&](std::string& text) {
    const auto it = texts.find(text);
    if (it == texts.end() || (it->second.count < 2 && !begins_as_number(text))) {
      return;
    }
    if (!it->second.number) {
      it->second.number = list.size();
      list.push_back(text);
    }
    text = "$" + std::to_string(*it->second.number);
  });
  return {{"texts", std::move(list)}, {"state", std::move(state)}};
}

Result<Json> unshare_texts(const Json& shared) {
  const auto wrong = [](const char* what) { return fail(Errc::invalid, what); };
  if (!shared.is_object() || !shared.contains("texts") || !shared.contains("state")) {
    return wrong("must be an object with \"texts\" and \"state\"");
  }
  const Json& texts = shared.at("texts");
  if (!texts.is_array()) {
    return wrong("\"texts\" must be a list");
  }
  Json state = shared.at("state");
  std::size_t grown = 0;
  const char* trouble = nullptr;
  for_each_text(state, [&](std::string& text) {
    if (!begins_as_number(text) || trouble != nullptr) {
      return;
    }
    std::size_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + 1, end, number);
    if (error != std::errc() || rest != end || number >= texts.size() ||
        !texts[number].is_string()) {
      trouble = "a text is named that is not in \"texts\"";
      return;
    }
    const auto& found = texts[number].get_ref<const std::string&>();
    grown += found.size();
    if (grown > kMostUnshared) {
      trouble = "too large";
      return;
    }
    text = found;
  });
  if (trouble != nullptr) {
    return wrong(trouble);
  }
  return state;
}

}  // namespace muster::state
