#include "daemon/text_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "daemon/dense_map.h"

namespace muster {

Names::Names(std::span<const NamedText> texts) {
  names_.reserve(texts.size());
  places_.resize(std::bit_ceil(2 * texts.size() + 1));
  for (const NamedText& text : texts) {
    names_.emplace_back(text.name);
    const auto hash = static_cast<std::uint32_t>(text_hash(text.name));
    std::size_t at = hash & (places_.size() - 1);
    while (places_[at].name != 0) {
      at = (at + 1) & (places_.size() - 1);
    }
    places_[at] = {hash, static_cast<std::uint32_t>(names_.size())};
  }
}

std::size_t Names::find(std::string_view name) const {
  const auto hash = static_cast<std::uint32_t>(text_hash(name));
  for (std::size_t at = hash & (places_.size() - 1); places_[at].name != 0;
       at = (at + 1) & (places_.size() - 1)) {
    if (places_[at].hash == hash && names_[places_[at].name - 1] == name) {
      return places_[at].name - 1;
    }
  }
  return names_.size();
}

std::shared_ptr<const Names> NamePool::names_of(std::span<const NamedText> texts) {
  std::uint64_t hash = texts.size();
  for (const NamedText& text : texts) {
    hash = hash * 31 + text_hash(text.name);
  }
  const auto [begin, end] = lists_.equal_range(hash);
  const auto known = std::find_if(begin, end, [&](const auto& entry) {
    return std::equal(
        texts.begin(), texts.end(), entry.second->begin(), entry.second->end(),
        [](const NamedText& text, const std::string& name) { return text.name == name; });
  });
  if (known != end) {
    return known->second;
  }
  if (lists_.size() >= looked_through_at_) {
    std::erase_if(lists_, [](const auto& entry) { return entry.second.use_count() == 1; });
    looked_through_at_ = std::max<std::size_t>(64, lists_.size() * 2);
  }
  return lists_.emplace(hash, std::make_shared<const Names>(texts))->second;
}

TextTable::TextTable(std::span<const NamedText> texts)
    : TextTable(texts, std::make_shared<const Names>(texts)) {
}

TextTable::TextTable(std::span<const NamedText> texts, std::shared_ptr<const Names> names) {
  if (texts.empty()) {
    return;
  }
  const std::size_t bytes = std::accumulate(texts.begin(), texts.end(), std::size_t{0},
                                            [](std::size_t sum, const NamedText& text) {
                                              return sum + (text.value ? text.value->size() : 0);
                                            });
  if (bytes >= kAbsent) {
    throw std::length_error("the texts of one device are too long");
  }
  names_ = std::move(names);
  data_ = std::make_unique_for_overwrite<std::uint32_t[]>(
      texts.size() + (bytes + sizeof(std::uint32_t) - 1) / sizeof(std::uint32_t));
  char* const values = reinterpret_cast<char*>(data_.get() + texts.size());
  std::uint32_t end = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto& value = texts[i].value;
    if (value && !value->empty()) {
      std::memcpy(values + end, value->data(), value->size());
      end += static_cast<std::uint32_t>(value->size());
    }
    data_[i] = value ? end : end | kAbsent;
  }
}

TextTable::TextTable(const TextTable& other) : names_(other.names_) {
  if (const std::size_t count = size(); count != 0) {
    const std::size_t words =
        count +
        ((other.data_[count - 1] & ~kAbsent) + sizeof(std::uint32_t) - 1) / sizeof(std::uint32_t);
    data_ = std::make_unique_for_overwrite<std::uint32_t[]>(words);
    std::copy_n(other.data_.get(), words, data_.get());
  }
}

TextTable& TextTable::operator=(TextTable other) noexcept {
  std::swap(names_, other.names_);
  std::swap(data_, other.data_);
  return *this;
}

void TextTable::share_names(NamePool& pool) {
  if (names_ != nullptr) {
    std::vector<NamedText> texts;
    texts.reserve(size());
    for (const std::string& name : *names_) {
      texts.push_back({name, std::nullopt});
    }
    names_ = pool.names_of(texts);
  }
}

std::optional<std::string_view> TextTable::find(std::string_view name) const {
  if (names_ == nullptr) {
    return std::nullopt;
  }
  const std::size_t index = names_->find(name);
  return index == names_->size() ? std::nullopt : at(index).value;
}

void TextTable::replace(std::span<const NamedText> texts, NamePool& pool) {
  bool same_names = texts.size() == size();
  bool same_places = same_names;
  for (std::size_t i = 0; same_names && i < texts.size(); ++i) {
    const NamedText known = at(i);
    const NamedText& now = texts[i];
    same_names = known.name == now.name;
    same_places = same_places && known.value.has_value() == now.value.has_value() &&
                  known.value.value_or("").size() == now.value.value_or("").size();
  }
  if (!same_names) {
    *this = TextTable(texts, pool);
    return;
  }
  if (!same_places) {
    *this = TextTable(texts, names_);
    return;
  }
  char* value = reinterpret_cast<char*>(data_.get() + texts.size());
  for (const NamedText& now : texts) {
    if (now.value && !now.value->empty()) {
      std::memmove(value, now.value->data(), now.value->size());
      value += now.value->size();
    }
  }
}

TextTable::operator Properties() const {
  Properties map;
  for (std::size_t i = 0; i < size(); ++i) {
    const NamedText text = at(i);
    map.emplace_hint(map.end(), text.name, text.value.value_or(""));
  }
  return map;
}

TextTable::operator Attributes() const {
  Attributes map;
  for (std::size_t i = 0; i < size(); ++i) {
    const NamedText text = at(i);
    map.emplace_hint(map.end(), std::string(text.name),
                     text.value ? std::optional<std::string>(*text.value) : std::nullopt);
  }
  return map;
}

}  // namespace muster
