// What a musterd that was killed inside the kernel leaves behind: modules that are live, and
// devices that no driver looked at to the end.
#include <gmock/gmock.h>

#include "daemon/engine.h"
#include "tests/support/model_machine.h"

namespace muster::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DriverPolicyTest : public ::testing::Test {
 protected:
  explicit DriverPolicyTest(bool udevd = false) : engine_(shipped_engine()) {
    on(FactsRead{Json{{"command_line", "compare_mode"}, {"udevd", udevd}}});
  }

  void on(EventBody body) {
    for (auto& effect : engine_->on({++now_, std::move(body)})) {
      if (effect.handler == "driver") {
        effects_.push_back(std::move(effect));
      }
    }
  }
  void device(const std::string& name, const std::string& driver = {}) {
    DeviceEvent event;
    event.origin = DeviceEvent::Origin::scan;
    event.action = Action::add;
    event.devpath = "/devices/pci0000:00/" + name;
    event.subsystem = "virtio";
    event.properties = {{"MODALIAS", "virtio:d00000008v00001AF4"}, {"SUBSYSTEM", "virtio"}};
    if (!driver.empty()) {
      event.properties["DRIVER"] = driver;
    }
    devpaths_.push_back(event.devpath);
    on(std::move(event));
  }
  void scanned() { on(ScanDone{0, devpaths_}); }
  // Of the first effect of this kind that was not answered yet.
  void answer(const std::string& verb, const std::string& subject, Json result) {
    const auto it = std::find_if(effects_.begin(), effects_.end(), [&](const Effect& effect) {
      return effect.verb == verb && effect.subject.starts_with(subject);
    });
    ASSERT_NE(it, effects_.end()) << verb;
    EffectDone done;
    done.id = it->id;
    done.ok = true;
    done.result = std::move(result);
    effects_.erase(it);
    on(std::move(done));
  }
  void resolved(const std::string& state) {
    answer("resolve", "virtio:",
           {{"modules", Json::array({{{"name", "virtio_scsi"},
                                      {"path", "virtio_scsi.ko"},
                                      {"options", ""},
                                      {"needs", Json::array()},
                                      {"soft", false},
                                      {"state", state}}})},
            {"refused", Json::array()}});
  }
  [[nodiscard]] std::vector<std::string> bound() const {
    std::vector<std::string> devices;
    for (const Effect& effect : effects_) {
      if (effect.verb == "bind") {
        EXPECT_EQ(effect.arguments.at("bus"), "virtio");
        devices.push_back(effect.arguments.at("device"));
      }
    }
    return devices;
  }

  std::unique_ptr<Engine> engine_;
  std::vector<Effect> effects_;
  std::vector<std::string> devpaths_;
  Micros now_ = 0;
};

TEST_F(DriverPolicyTest, ADeviceWithoutADriverIsOfferedToOneThatWasLiveAtTheStart) {
  device("virtio0");
  device("virtio1", "virtio_scsi");
  resolved("live");
  device("virtio2");
  scanned();
  device("virtio3");  // the kernel is about to
  EXPECT_THAT(bound(), ElementsAre("virtio0", "virtio2"));
  answer("bind", "virtio0", Json::object());
  device("virtio0");
  EXPECT_THAT(bound(), ElementsAre("virtio2"));
}

TEST_F(DriverPolicyTest, SoItIsIfTheModuleWasStillBeingLoaded) {
  device("virtio0");
  resolved("coming");
  scanned();
  ASSERT_THAT(bound(), IsEmpty());
  answer("insert", "virtio_scsi", {{"took_us", 1}, {"existed", true}});
  EXPECT_THAT(bound(), ElementsAre("virtio0"));
}

TEST_F(DriverPolicyTest, AModuleOfOursFindsItsDevicesItself) {
  device("virtio0");
  resolved("absent");
  scanned();
  answer("insert", "virtio_scsi", {{"took_us", 1}});
  EXPECT_THAT(bound(), IsEmpty());
}

TEST_F(DriverPolicyTest, WhatIsBoundMeanwhileIsLeftAlone) {
  device("virtio0");
  device("virtio0", "virtio_scsi");
  resolved("live");
  EXPECT_THAT(bound(), IsEmpty());
}

class DriverPolicyBesideUdevdTest : public DriverPolicyTest {
 protected:
  DriverPolicyBesideUdevdTest() : DriverPolicyTest(true) {}
};

TEST_F(DriverPolicyBesideUdevdTest, WhatHasNoDriverMayBeMeantTo) {
  device("virtio0");
  resolved("live");
  scanned();
  EXPECT_THAT(bound(), IsEmpty());
}

}  // namespace
}  // namespace muster::test
