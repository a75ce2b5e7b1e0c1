#include "handlers/md/md_executor.h"

#include <gtest/gtest.h>

#include "tests/support/temp_tree.h"

namespace muster::md {
namespace {

using testing::TempTree;

// What sysfs says of an array; without a kernel that would make another.
class MdExecutorTest : public ::testing::Test {
 protected:
  MdExecutorTest() : root_(Root::open(tree_.path()).value()), devices_(root_) {
    tree_.directory("/sys/dev/block/8:0/holders/md5")
        .directory("/sys/dev/block/8:16/holders/md5")
        .file("/sys/block/md5/dev", "9:5\n")
        .file("/sys/block/md5/md/array_state", "read-auto\n");
    member("sda", "8:0", "0", "in_sync");
    member("sdb", "8:16", "1", "in_sync,write_mostly");
  }
  void member(const std::string& name, const std::string& devno, const std::string& slot,
              const std::string& state) {
    const auto directory = "/sys/block/md5/md/dev-" + name;
    tree_.file(directory + "/block/dev", devno + "\n")
        .file(directory + "/slot", slot + "\n")
        .file(directory + "/state", state + "\n");
  }
  Result<Json> assemble(const Json& members) {
    MdExecutor executor(devices_);
    return executor.run({1,
                         "md",
                         "assemble",
                         "",
                         {{"uuid", "u"}, {"number", 7}, {"version", "1.2"}, {"members", members}},
                         0,
                         ""});
  }
  static Json both() { return {{{"devno", "8:0"}, {"slot", 0}}, {{"devno", "8:16"}, {"slot", 1}}}; }

  TempTree tree_;
  Root root_;
  BlockDevices devices_;
};

TEST_F(MdExecutorTest, AnArrayThatRunsWithTheseMembersIsTheOne) {
  const auto made = assemble(both());
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_EQ(*made, (Json{{"kernel", "md5"}, {"devno", "9:5"}, {"state", "read-auto"}}));
}

TEST_F(MdExecutorTest, AnyOtherIsNot) {
  const auto refused = [&](const Json& members) { return !assemble(members).has_value(); };
  EXPECT_TRUE(refused({{{"devno", "8:0"}, {"slot", 1}}, {{"devno", "8:16"}, {"slot", 0}}}));
  EXPECT_TRUE(refused({{{"devno", "8:0"}, {"slot", 0}}, {{"devno", "8:32"}, {"slot", 1}}}));
  EXPECT_TRUE(refused({{{"devno", "8:32"}, {"slot", 0}}}));
  member("sdb", "8:16", "1", "faulty");
  EXPECT_TRUE(refused(both()));
  member("sdb", "8:16", "1", "in_sync");
  tree_.file("/sys/block/md5/md/array_state", "inactive\n");
  EXPECT_TRUE(refused(both()));
  tree_.file("/sys/block/md5/md/array_state", "clean\n");
  EXPECT_FALSE(refused(both()));
}

}  // namespace
}  // namespace muster::md
