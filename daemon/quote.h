// One printable line for bytes that somebody else wrote.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace muster {

// The bytes in double quotes: printable ASCII as it is, everything else as \n \t \r \" \\ or \xHH,
// so that no label, file name or command line can move a cursor, end a line or forge a second
// message on a serial console. What stands between the quotes is at most `max` characters; three
// dots after the closing quote say that more followed.
[[nodiscard]] std::string quote(std::string_view bytes, std::size_t max = 80);

}  // namespace muster
