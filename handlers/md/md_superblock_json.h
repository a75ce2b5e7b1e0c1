// A superblock as it travels in a signature's details ("md"), from the probe to the policy and
// through the journal.
#pragma once

#include "daemon/event.h"
#include "handlers/md/md_superblock.h"

namespace muster::md {

// {"version": "1.2", "uuid", "device_uuid", "full_name", "name", "home_host", "level": 5, "layout",
// "chunk" (bytes),
//  "raid_disks", "role": slot or -1 spare, -2 faulty, -3 journal, "role_kind":
//  "active|spare|faulty|journal", "events", "clean", "size_sectors" (used of each member),
//  "data_offset", "data_size", "super_offset" (sectors), "roles": ["active|missing|replacing"...],
//  "bitmap": bool, "unusual": "" or the reason, "preferred_minor" (0.90) ...}
// and whatever else the superblock says; what is at its default is left out.
[[nodiscard]] Json to_json(const Superblock& superblock);

// The same superblock again; an Error names the field that is missing or wrong.
[[nodiscard]] Result<Superblock> superblock_from_json(const Json& json);

}  // namespace muster::md
