// Passwords and the like are taken out of texts before the engine sees them: what it sees is in the
// journal, and the journal is sent to others.
//
// Taken out are the values of settings whose name says that they are secret (kSecretWords: "pass",
// "secret", "chap", "credential", "token", "psk", "api_key", "private_key", not "passthrough",
// "passive" or "bypass"), the password in USER:PASSWORD@ of a URL, and the user and password of
// netroot=iscsi:USER:PASSWORD@. What is left says that something was there: "***".
#pragma once

#include <string>
#include <string_view>

namespace muster {

inline constexpr std::string_view kScrubbed = "***";

// Words as the kernel splits its command line: KEY=VALUE, KEY="VALUE WITH BLANKS", also as one of
// several options within a value (rootflags=user=a,password=b).
[[nodiscard]] std::string scrub_words(std::string_view text);

// Lines: KEY = VALUE and KEY: VALUE with TOML's or JSON's quotes and lists, and, at the beginning
// of a line, KEY VALUE.
[[nodiscard]] std::string scrub_lines(std::string_view text);

}  // namespace muster
