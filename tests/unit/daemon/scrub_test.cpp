#include "daemon/scrub.h"

#include <gtest/gtest.h>

#include <string>

namespace muster {
namespace {

struct Case {
  const char* text;
  const char* expected;
};

TEST(ScrubWords, TakesTheValuesOfWhatIsCalledSecret) {
  const Case cases[] = {
      {"nuke root=/dev/sda1 quiet", "nuke root=/dev/sda1 quiet"},
      {"a muster.password=geheim b", "a muster.password=*** b"},
      {"rd.iscsi.in.password=x\n", "rd.iscsi.in.password=***\n"},
      {"MY_Passphrase=x", "MY_Passphrase=***"},
      {"muster.password=\"two words\" b", "muster.password=*** b"},
      {"\"muster.password=two words\" b", "\"muster.password=***\" b"},
      {"f=\"u=a,password=b c,x=1\" d", "f=\"u=a,password=***,x=1\" d"},
      {"f=\"u=a,password=b c\" d", "f=\"u=a,password=***\" d"},
      {"x=a\"b c\" secret=d\"e f\"g h", "x=a\"b c\" secret=*** h"},
      {"rootflags=user=a,password=b,vers=3 c", "rootflags=user=a,password=***,vers=3 c"},
      {"iscsi.chap.name=me wpa-psk=1 api_key=2 auth-token=3 pwd=4",
       "iscsi.chap.name=*** wpa-psk=*** api_key=*** auth-token=*** pwd=***"},
      {"iommu.passthrough=1 bypass=2 passive=3", "iommu.passthrough=1 bypass=2 passive=3"},
      {"password passwords= b=1", "password passwords= b=1"},
      {"netroot=iscsi:me:geheim@10.0.0.1::::iqn.x", "netroot=iscsi:me:***@10.0.0.1::::iqn.x"},
      {"url=http://me:ge@heim@host/a?b u=ftp://me@host v=http://host:80/x@y:z",
       "url=http://me:***@host/a?b u=ftp://me@host v=http://host:80/x@y:z"},
      {"", ""},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(scrub_words(each.text), each.expected);
  }
}

TEST(ScrubLines, KnowsTheFormsOfFiles) {
  const Case cases[] = {
      {"mode = \"nuke\"\n", "mode = \"nuke\"\n"},
      {"password = \"a \\\" b\" # c\nx = 1\n", "password = \"***\" # c\nx = 1\n"},
      {"password = 'it' \n", "password = \"***\" \n"},
      {"my.secret = \"\"\"a\nb\"\"\"\nx = 1", "my.secret = \"***\"\nx = 1"},
      {"passwords = [\"a\",\n \"b\"]\nx = 1", "passwords = \"***\"\nx = 1"},
      {"{\"password\": \"geheim\", \"x\": 1}", "{\"password\": \"***\", \"x\": 1}"},
      {"password: geheim und mehr\nx", "password: ***\nx"},
      {"netfs-password geheim und mehr\niso-prefix lab\n", "netfs-password ***\niso-prefix lab\n"},
      {"  # password x\n", "  # password ***\n"},
      {"the password is wrong\n", "the password is wrong\n"},
      {"password = \"never closed\nx = 1", "password = \"***\"\nx = 1"},
      {"medium = \"ftp://me:geheim@host/x\"\n", "medium = \"ftp://me:***@host/x\"\n"},
      {"password\n", "password\n"},
      {"password =\nx", "password =\nx"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(scrub_lines(each.text), each.expected);
  }
}

TEST(Scrub, AnyBytesEndWithinThem) {
  for (const char* text : {"password=\"", "\"password=", "password='''", "secret=[", "://:@",
                           "iscsi::@", "password = \"\\", "secret", "secret="}) {
    EXPECT_LE(scrub_lines(text).size(), std::string(text).size() + 8) << text;
    EXPECT_LE(scrub_words(text).size(), std::string(text).size() + 8) << text;
  }
}

}  // namespace
}  // namespace muster
