// Results and errors. Result<T> is the standard's std::expected once the compilers have it.
//
// An Error says what was attempted, on which object, and why it failed; context is added on the way
// up so that the text reads from consequence to cause. "Not there yet" is never an Error: it is a
// fact in the world.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace muster {

enum class Errc {
  invalid,      // malformed input; says where
  not_found,    // the object does not exist
  busy,         // the kernel or another program holds it
  timeout,      // a deadline passed
  unsupported,  // well-formed, but not something we do
  io,           // the kernel refused or the device failed
};

struct Error {
  Errc code = Errc::io;
  std::string text;  // one line, foreign bytes already quoted
  int os_error = 0;  // errno, taken at once; 0 where there is none

  // "CONTEXT: text"
  [[nodiscard]] Error within(std::string_view context) const {
    return Error{code, std::string(context) + ": " + text, os_error};
  }
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(text), 0});
}

// For a failed system call: "WHAT: No such file or directory".
[[nodiscard]] inline tl::unexpected<Error> fail_errno(std::string_view what, int os_error) {
  const Errc code = os_error == ENOENT || os_error == ENODEV || os_error == ENXIO ? Errc::not_found
                    : os_error == EBUSY                                           ? Errc::busy
                    : os_error == ETIMEDOUT                                       ? Errc::timeout
                                                                                  : Errc::io;
  return tl::unexpected<Error>(
      Error{code, std::string(what) + ": " + std::strerror(os_error), os_error});
}

}  // namespace muster
