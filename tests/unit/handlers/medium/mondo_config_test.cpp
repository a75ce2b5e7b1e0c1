#include "handlers/medium/mondo_config.h"

#include <gmock/gmock.h>

namespace muster::medium {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;
using namespace std::string_literals;

constexpr std::string_view kFile = "mondo-restore.cfg";

constexpr std::string_view kSample =
    "media-dev /dev/st0\n"
    "files-in-filelist 48213\n"
    "last-filelist-number 311\n"
    "use-lzo no\n"
    "use-star no\n"
    "use-comp yes\n"
    "datestamp Tue Mar  4 10:12:44 UTC 2025\n"
    "total-slices 27\n"
    "iso-prefix web7\n"
    "bootloader.device /dev/sda\n"
    "bootloader.name GRUB\n"
    "backup-media-type dvd\n"
    "differential 0\n";

std::vector<std::string> texts(const std::vector<TextDiagnostic>& diagnostics) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

TEST(MondoConfig, ReadsTheSample) {
  const MondoConfig config = parse_mondo_config(kSample, kFile);
  EXPECT_THAT(texts(config.diagnostics), IsEmpty());
  EXPECT_EQ(config.media_type, MediaType::dvd);
  EXPECT_EQ(config.media_dev, "/dev/st0");
  EXPECT_EQ(config.files_in_filelist, 48213U);
  EXPECT_EQ(config.last_filelist_number, 311U);
  EXPECT_EQ(config.total_slices, 27U);
  EXPECT_EQ(config.iso_prefix, "web7");
  EXPECT_TRUE(config.iso_prefix_given);
  EXPECT_EQ(config.datestamp, "Tue Mar  4 10:12:44 UTC 2025");
  EXPECT_EQ(config.bootloader_device, "/dev/sda");
  EXPECT_EQ(config.bootloader_name, "GRUB");
  EXPECT_FALSE(config.differential);
  EXPECT_FALSE(config.please_dont_eject);
  EXPECT_FALSE(config.use_lzo);
  EXPECT_TRUE(config.use_comp);
  EXPECT_EQ(config.tape_block_size, 32768U);
  EXPECT_THAT(config.pairs, SizeIs(13));
  EXPECT_EQ(config.pairs[6], (MondoPair{"datestamp", "Tue Mar  4 10:12:44 UTC 2025", 7}));
}

TEST(MondoConfig, HasMondosDefaults) {
  const MondoConfig config = parse_mondo_config("backup-media-type iso\n", kFile);
  EXPECT_EQ(config.iso_prefix, "mondorescue");
  EXPECT_FALSE(config.iso_prefix_given);
  EXPECT_EQ(config.tape_block_size, 32768U);
  EXPECT_EQ(config.total_slices, std::nullopt);
  EXPECT_THAT(config.diagnostics, IsEmpty());
}

TEST(MondoConfig, KnowsTheMediaTypes) {
  const std::vector<std::pair<std::string, MediaType>> cases{
      {"cdr", MediaType::cdr},    {"cdrw", MediaType::cdrw}, {"dvd", MediaType::dvd},
      {"iso", MediaType::iso},    {"nfs", MediaType::nfs},   {"cdstream", MediaType::cdstream},
      {"tape", MediaType::tape},  {"udev", MediaType::udev}, {"usb", MediaType::usb},
      {"netfs", MediaType::netfs}};
  for (const auto& [word, type] : cases) {
    const MondoConfig config =
        parse_mondo_config("media-dev /dev/st0\nbackup-media-type " + word + "\n", kFile);
    EXPECT_EQ(config.media_type, type) << word;
    EXPECT_EQ(to_string(type), word);
    EXPECT_THAT(texts(config.diagnostics), IsEmpty());
  }
  const MondoConfig config = parse_mondo_config("backup-media-type bluray\x1b\n", kFile);
  EXPECT_EQ(config.media_type, MediaType::unknown);
}

TEST(MondoConfig, AcceptsTheNamesOfLaterVersions) {
  const MondoConfig config = parse_mondo_config(
      "backup-media-type netfs\n"
      "netfs-proto sshfs\n"
      "netfs-server-mount srv:/export\n"
      "netfs-server-path backups/web7\n"
      "netfs-server-user root\n"
      "netfs-client-defgw 10.0.0.1\n"
      "usb-dev /dev/sdd1\n"
      "use-gzip yes\n"
      "acl 1\nxattr 1\n",
      kFile);
  EXPECT_THAT(texts(config.diagnostics), IsEmpty());
  EXPECT_EQ(config.nfs_server_mount, "srv:/export");
  EXPECT_EQ(config.nfs_server_path, "backups/web7");
  EXPECT_EQ(config.netfs_proto, "sshfs");
  EXPECT_EQ(config.netfs_server_user, "root");
  EXPECT_EQ(config.nfs_client_defgw, "10.0.0.1");
  EXPECT_EQ(config.usb_dev, "/dev/sdd1");
  EXPECT_TRUE(config.use_gzip);

  const MondoConfig both = parse_mondo_config(
      "backup-media-type nfs\nnetfs-server-mount b:/\nnfs-server-mount a:/\n", kFile);
  EXPECT_EQ(both.nfs_server_mount, "a:/");
  EXPECT_THAT(texts(both.diagnostics),
              ElementsAre("mondo-restore.cfg:2: \"netfs-server-mount\" says \"b:/\", but the older "
                          "name of this key says \"a:/\", which counts"));
}

TEST(MondoConfig, ReadsFlagsAsMondorestoreDoes) {
  struct Case {
    std::string line;
    bool MondoConfig::* flag;
    bool value;
  };
  const std::vector<Case> cases{
      {"differential 1", &MondoConfig::differential, true},
      {"differential yes", &MondoConfig::differential, true},
      {"differential 2", &MondoConfig::differential, false},
      {"differential no", &MondoConfig::differential, false},
      {"please-dont-eject no", &MondoConfig::please_dont_eject, true},
      {"use-lzo yes", &MondoConfig::use_lzo, true},
      {"use-star oh yes", &MondoConfig::use_star, true},
      {"use-comp no", &MondoConfig::use_comp, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parse_mondo_config(c.line + "\n", kFile).*c.flag, c.value) << c.line;
  }
}

TEST(MondoConfig, SaysWhereMondorestoreReadsSomethingElse) {
  struct Case {
    std::string lines;  // after a sound first line
    std::string media_dev;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"media-dev /dev/st0\nmedia-dev /dev/st1",
       "/dev/st1",
       {"mondo-restore.cfg:3: \"media-dev\" is there already in line 2; mondorestore takes the "
        "last "
        "one"}},
      {"media-dev /dev/st0\nold-media-dev /dev/st1",
       "/dev/st1",
       {"mondo-restore.cfg:3: mondorestore takes this line as \"media-dev\", with the value "
        "\"/dev/st1\""}},
      {"media-dev /dev/st0\n# the media-dev was /dev/st7",
       "media-dev was /dev/st7",
       {"mondo-restore.cfg:3: mondorestore takes this line as \"media-dev\", with the value "
        "\"the media-dev was /dev/st7\""}},
      {"media-dev  /dev/st0",
       "/dev/st0",
       {"mondo-restore.cfg:2: more than one blank after \"media-dev\""}},
      {"media-dev /dev/st0\nmedia-dev",
       "/dev/st0",
       {"mondo-restore.cfg:3: \"media-dev\" has no value: mondorestore does not find it"}},
      {"media-dev /dev/st0\nmedia-dev ",
       "/dev/st0",
       {"mondo-restore.cfg:3: \"media-dev\" has no value: mondorestore does not find it",
        "mondo-restore.cfg:3: \"media-dev\" is there already in line 2; mondorestore takes the "
        "last "
        "one"}},
      {"media-dev\t/dev/st0\nmedia-dev /dev/st3",
       "/dev/st3",
       {"mondo-restore.cfg:2: \"media-dev\\t/dev/st0\" has no value: mondorestore does not find "
        "it"}},
      {"media-dev a b c d e",
       "a b c d",
       {"mondo-restore.cfg:2: mondorestore reads no more of \"media-dev\" than \"a b c d\""}},
      {" media-dev /dev/st0",
       "media-dev /dev/st0",
       {"mondo-restore.cfg:2: mondorestore takes this line as \"media-dev\", with the value "
        "\"media-dev /dev/st0\"",
        "mondo-restore.cfg:2: starts with a blank"}},
      {"media-dev /dev/st0\xc3\xa4",
       "/dev/st0\xc3\xa4",
       {"mondo-restore.cfg:2: the value of \"media-dev\" has bytes that mondorestore garbles: "
        "\"/dev/st0\\xc3\\xa4\""}},
      {"media-dev /dev/st0\nfavourite-colour blue",
       "/dev/st0",
       {"mondo-restore.cfg:3: unknown key \"favourite-colour\""}},
      {"media-dev /dev/st0\r\ntotal-slices many\r",
       "/dev/st0",
       {"mondo-restore.cfg:3: \"total-slices\" is not a number: \"many\""}},
      {"media-dev /dev/st0\n# nothing of interest here", "/dev/st0", {}},
      {"media-dev /dev/st0\nbootloader-name GRUB",
       "/dev/st0",
       {"mondo-restore.cfg:3: mondorestore takes this line as \"bootloader.name\", with the value "
        "\"GRUB\""}},
  };
  for (const Case& c : cases) {
    // The last newline is not needed: grep sees the line all the same.
    for (const std::string end : {"\n", ""}) {
      const std::string text = "backup-media-type tape\n" + c.lines + end;
      const MondoConfig config = parse_mondo_config(text, kFile);
      if (c.media_dev.rfind("media-dev was", 0) == 0) {
        EXPECT_EQ(config.media_dev, "the media-dev was /dev/st7");
      } else {
        EXPECT_EQ(config.media_dev, c.media_dev) << c.lines;
      }
      EXPECT_EQ(mondo_value(text, "media-dev"), config.media_dev) << c.lines;
      EXPECT_EQ(texts(config.diagnostics), c.diagnostics) << c.lines;
    }
  }
}

TEST(MondoConfig, SaysWhatMondorestoreDiesOf) {
  EXPECT_THAT(
      texts(parse_mondo_config("", kFile).diagnostics),
      ElementsAre("mondo-restore.cfg: backup-media-type is missing: mondorestore ends at once"));
  EXPECT_THAT(texts(parse_mondo_config("backup-media-type blu\n", kFile).diagnostics),
              ElementsAre("mondo-restore.cfg: backup-media-type \"blu\" is not known"));
  EXPECT_THAT(
      texts(parse_mondo_config("backup-media-type tape\n", kFile).diagnostics),
      ElementsAre("mondo-restore.cfg: media-dev is missing: mondorestore needs it for tape"));
  EXPECT_THAT(texts(parse_mondo_config("backup-media-type dvd\n\0"s, kFile).diagnostics),
              testing::Contains("mondo-restore.cfg: contains NUL bytes: grep takes it for a binary "
                                "file, mondorestore reads nothing"));
}

TEST(MondoConfig, SurvivesHostileTexts) {
  EXPECT_THAT(parse_mondo_config(std::string(10'000'000, 'x'), kFile).pairs, IsEmpty());
  EXPECT_THAT(parse_mondo_config("media-dev " + std::string(10'000'000, ' '), kFile).media_dev,
              std::nullopt);
  std::string many;
  for (int i = 0; i < 50'000; ++i) {
    many += "\xff\0 \n"s;
  }
  EXPECT_THAT(parse_mondo_config(many, kFile).diagnostics, SizeIs(Diagnostics::kMax));
  EXPECT_EQ(parse_mondo_config("total-slices 99999999999999999999\n", kFile).total_slices,
            std::nullopt);
}

TEST(SameBackup, ComparesOnlyWhatBothHave) {
  struct Case {
    std::string image;
    std::string medium;
    std::string why_not;  // empty: the same
  };
  const std::string all =
      "files-in-filelist 5\nlast-filelist-number 6\ntotal-slices 7\niso-prefix a\n";
  const std::vector<Case> cases{
      {all, all, ""},
      {all + "datestamp Mon\n", all + "datestamp Tue\nmedia-dev /dev/st1\n", ""},
      {all, "total-slices 7\n", ""},
      {all, "total-slices 007\n", ""},
      {all, "files-in-filelist 4\n",
       "another backup: files-in-filelist is 5 in the image and 4 on the medium"},
      {all, "last-filelist-number 7\n",
       "another backup: last-filelist-number is 6 in the image and 7 on the medium"},
      {all, "total-slices 8\n",
       "another backup: total-slices is 7 in the image and 8 on the medium"},
      {all, "total-slices 7\niso-prefix b\n",
       "another backup: iso-prefix is \"a\" in the image and \"b\" on the medium"},
      {"iso-prefix mondorescue\ntotal-slices 7\n", "total-slices 7\n", ""},
      {"backup-media-type dvd\n", all,
       "not known to be the same backup: no key of the image's config is on the medium"},
      {"total-slices many\n", "total-slices many\n",
       "not known to be the same backup: no key of the image's config is on the medium"},
  };
  for (const Case& c : cases) {
    std::string why_not;
    EXPECT_EQ(
        same_backup(parse_mondo_config(c.image, "i"), parse_mondo_config(c.medium, "m"), &why_not),
        c.why_not.empty())
        << c.medium;
    EXPECT_EQ(why_not, c.why_not);
  }
  EXPECT_FALSE(same_backup({}, {}, nullptr));
}

TEST(WithValue, ChangesOneValueAndNothingElse) {
  struct Case {
    std::string text;
    std::string result;  // with media-dev /dev/st5
  };
  const std::vector<Case> cases{
      {"", "media-dev /dev/st5\n"},
      {"a b", "a b\nmedia-dev /dev/st5\n"},
      {"a b\n\n  x\r\nmedia-dev /dev/st0\nc d\n", "a b\n\n  x\r\nmedia-dev /dev/st5\nc d\n"},
      {"media-dev /dev/st0", "media-dev /dev/st5"},
      {"media-dev /dev/st0 and more\r\nx y", "media-dev /dev/st5\r\nx y"},
      {"media-dev  /dev/st0\n", "media-dev /dev/st5\n"},
      {"media-dev 1\nmedia-dev 2\n", "media-dev 1\nmedia-dev /dev/st5\n"},
      {"media-dev 1\nmedia-dev \n", "media-dev /dev/st5\nmedia-dev \n"},
      {"media-dev 1\nold-media-dev 2\n", "media-dev 1\nold-media-dev 2\nmedia-dev /dev/st5\n"},
      {"# media-dev 1", "# media-dev 1\nmedia-dev /dev/st5\n"},
      {"x\0y\nmedia-dev a\xff\n"s, "x\0y\nmedia-dev /dev/st5\n"s},
  };
  for (const Case& c : cases) {
    const auto result = with_value(c.text, "media-dev", "/dev/st5");
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(*result, c.result);
    EXPECT_EQ(mondo_value(*result, "media-dev"), "/dev/st5");
  }
}

TEST(WithValue, RefusesWhatTheFormatCannotCarry) {
  const std::vector<std::string> values{"",         "a b", "a\nb",
                                        "\xc3\xa4", "a\t", std::string(301, 'x')};
  for (const std::string& value : values) {
    const auto result = with_value("media-dev x\n", "media-dev", value);
    ASSERT_FALSE(result.has_value()) << value;
    EXPECT_EQ(result.error().code, Errc::invalid);
  }
  EXPECT_EQ(with_value("", "media-dev", "a b").error().text,
            "mondo-restore.cfg cannot carry \"a b\" as the value of \"media-dev\"");
  EXPECT_EQ(with_value("", "media dev", "a").error().text,
            "mondo-restore.cfg cannot carry the key \"media dev\"");
}

}  // namespace
}  // namespace muster::medium
