// In the place of libselinux.so.1, which brings libpcre2: what libdevmapper and lvm label device
// nodes with. No policy is loaded in a rescue system; is_selinux_enabled says so, and nothing else
// is called then. If it is all the same, it fails as where the kernel has no SELinux.
#include <sys/types.h>

#include <cerrno>

namespace {

int not_supported() {
  errno = ENOTSUP;
  return -1;
}

}  // namespace

extern "C" {

int is_selinux_enabled() {
  return 0;
}

int matchpathcon(const char* /*path*/, mode_t /*mode*/, char** /*context*/) {
  return not_supported();
}

int setfscreatecon(const char* /*context*/) {
  return not_supported();
}

int lsetfilecon(const char* /*path*/, const char* /*context*/) {
  return not_supported();
}

void freecon(char* /*context*/) {
}

}  // extern "C"
