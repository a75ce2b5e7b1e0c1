// In the place of libsystemd.so.0, which brings libgcrypt, liblz4 and others: 1.1 MB of the packed
// image for lvm's calls to a journal, a bus and a machine's identity that a rescue system has not.
//
// Each answers as systemd's own does where no systemd runs: journald is missing silently, the bus
// cannot be opened, the machine has no identity. lvm then does without, as it does in Debian's
// initramfs.
#include <cerrno>
#include <cstdarg>

extern "C" {

// LIBSYSTEMD_209

int sd_journal_send_with_location(const char* /*file*/, const char* /*line*/,
                                  const char* /*function*/, const char* /*format*/, ...) {
  return 0;
}

int sd_journal_printv_with_location(int /*priority*/, const char* /*file*/, const char* /*line*/,
                                    const char* /*function*/, const char* /*format*/,
                                    std::va_list /*arguments*/) {
  return 0;
}

// LIBSYSTEMD_221

int sd_bus_open_system(void** bus) {
  if (bus == nullptr) {
    return -EINVAL;
  }
  return -ENOENT;
}

int sd_bus_call_method(void* /*bus*/, const char* /*destination*/, const char* /*path*/,
                       const char* /*interface*/, const char* /*member*/, void* /*error*/,
                       void** /*reply*/, const char* /*types*/, ...) {
  return -EINVAL;  // no bus
}

int sd_bus_message_read(void* /*message*/, const char* /*types*/, ...) {
  return -EINVAL;  // no message
}

void* sd_bus_message_unref(void* /*message*/) {
  return nullptr;
}

void sd_bus_error_free(void* /*error*/) {
}

int sd_bus_error_has_name(const void* /*error*/, const char* /*name*/) {
  return 0;
}

// LIBSYSTEMD_222

void* sd_bus_flush_close_unref(void* /*bus*/) {
  return nullptr;
}

// LIBSYSTEMD_233

struct Id128 {
  unsigned char bytes[16];
};

int sd_id128_get_machine_app_specific(Id128 /*application*/, Id128* into) {
  if (into == nullptr) {
    return -EINVAL;
  }
  return -ENOENT;
}

}  // extern "C"
