// A device for rule tests, stated in one expression:
//   FakeDevice({.kernel = "sda", .subsystem = "block", .attrs = {{"size", "8"}}}, &parent)

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "rules/match.h"

namespace muster::rules {

struct DeviceData {
  std::string action = "add";
  std::string kernel = {};
  std::string subsystem = {};
  std::string driver = {};
  std::string devpath = {};
  std::map<std::string, std::string, std::less<>> env = {};
  std::map<std::string, std::string, std::less<>> attrs = {};
  std::set<std::string> tags = {};
};

class FakeDevice final : public DeviceView {
 public:
  explicit FakeDevice(DeviceData data, const DeviceView* parent = nullptr)
      : data_(std::move(data)), parent_(parent) {}

  std::string_view action() const override { return data_.action; }
  std::string_view kernel() const override { return data_.kernel; }
  std::string_view subsystem() const override { return data_.subsystem; }
  std::string_view driver() const override { return data_.driver; }
  std::string_view devpath() const override { return data_.devpath; }
  std::optional<std::string_view> env(std::string_view key) const override {
    return find(data_.env, key);
  }
  std::optional<std::string_view> attr(std::string_view name) const override {
    return find(data_.attrs, name);
  }
  const std::set<std::string>& tags() const override { return data_.tags; }
  const DeviceView* parent() const override { return parent_; }

 private:
  static std::optional<std::string_view> find(
      const std::map<std::string, std::string, std::less<>>& map, std::string_view key) {
    const auto found = map.find(key);
    return found == map.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  }

  DeviceData data_;
  const DeviceView* parent_;
};

}  // namespace muster::rules
