// /tmp/mondo-restore.cfg: what mindi wrote about the backup, read as mondorestore reads it.
//
// mondorestore has no parser: for each key it takes the last line that contains "KEY " anywhere
// (grep, so that a dot in the key matches every character) and of that line the words 2 to 5 (cut
// -d' '). The values here are those; every line that says something else to a human reader is a
// diagnostic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/result.h"
#include "daemon/text_diagnostic.h"

namespace muster::medium {

enum class MediaType { cdr, cdrw, dvd, cdstream, iso, nfs, tape, udev, usb, netfs, unknown };

[[nodiscard]] std::string_view to_string(MediaType type);

struct MondoPair {
  std::string key;    // the first word of the line
  std::string value;  // everything after the blank
  int line = 0;

  bool operator==(const MondoPair&) const = default;
};

struct MondoConfig {
  std::optional<MediaType> media_type;  // mandatory: without it mondorestore ends at once
  std::string media_type_text;          // as written, for MediaType::unknown

  std::optional<std::string> media_dev;  // tape or stream device
  std::optional<std::string> usb_dev;
  std::optional<std::string> iso_dev;
  std::optional<std::string> iso_mnt;
  std::optional<std::string> isodir;
  std::string iso_prefix = "mondorescue";
  bool iso_prefix_given = false;

  std::optional<std::uint64_t> files_in_filelist;
  std::optional<std::uint64_t> last_filelist_number;
  std::optional<std::uint64_t> total_slices;
  std::optional<std::uint64_t> media_size_mb;
  std::uint64_t tape_block_size = 32768;

  std::optional<std::string> datestamp;  // the whole line; not equal in the copies of one backup
  bool differential = false;
  bool please_dont_eject = false;
  bool use_lzo = false;
  bool use_gzip = false;
  bool use_comp = false;
  bool use_star = false;

  std::optional<std::string> bootloader_device;
  std::optional<std::string> bootloader_name;

  // nfs-*, or netfs-* as later versions call them
  std::optional<std::string> nfs_server_mount;
  std::optional<std::string> nfs_server_path;
  std::optional<std::string> nfs_server_ipaddr;
  std::optional<std::string> nfs_dev;
  std::optional<std::string> nfs_client_ipaddr;
  std::optional<std::string> nfs_client_netmask;
  std::optional<std::string> nfs_client_broadcast;
  std::optional<std::string> nfs_client_defgw;
  std::optional<std::string> netfs_proto;
  std::optional<std::string> netfs_server_user;

  std::vector<MondoPair> pairs;  // every line with a key, also unknown ones, in order
  std::vector<TextDiagnostic> diagnostics;
};

// Pure; any bytes.
[[nodiscard]] MondoConfig parse_mondo_config(std::string_view text, std::string_view file);

// The value that mondorestore would read for `key`; absent if it would find none.
[[nodiscard]] std::optional<std::string> mondo_value(std::string_view text, std::string_view key);

// The same backup? Equal files-in-filelist, last-filelist-number, total-slices and iso-prefix; a
// key that only one of the two has says nothing, but at least one must be comparable. `why_not`
// (may be null) names the first difference.
[[nodiscard]] bool same_backup(const MondoConfig& image, const MondoConfig& medium,
                               std::string* why_not);

// The text with `key` set to `value`, so that mondorestore reads that value; everything else stays
// byte for byte. A missing or misread line is appended. Errc::invalid for a key or value that the
// format cannot carry (empty, with white space, control or non-ASCII characters).
[[nodiscard]] Result<std::string> with_value(std::string_view text, std::string_view key,
                                             std::string_view value);

}  // namespace muster::medium
