/* Shared by the two guest programs: clock, command line, serial ports, whole-file reads. */
#pragma once
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BUSYBOX "/vmtest/busybox"
#ifndef COMMAND_LINE
#define COMMAND_LINE "/proc/cmdline"
#endif

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A serial line as a clean byte pipe. The nodes are the stage's own, so that nothing depends on the
 * image's /dev. */
static inline int open_port(const char* path, int flags) {
  int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | flags);
  struct termios t;
  if (fd >= 0 && tcgetattr(fd, &t) == 0) {
    cfmakeraw(&t);
    cfsetspeed(&t, B115200);
    t.c_cflag |= CLOCAL;
    tcsetattr(fd, TCSANOW, &t);
  }
  return fd;
}

/* The whole of a file, NUL-terminated; NULL if it cannot be opened. The caller frees. */
static inline char* slurp(const char* path, size_t* length) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return NULL;
  }
  size_t used = 0, room = 4096;
  char* buffer = malloc(room + 1);
  for (;;) {
    if (used == room) {
      buffer = realloc(buffer, (room *= 2) + 1);
    }
    ssize_t got = read(fd, buffer + used, room - used);
    if (got <= 0) {
      break;
    }
    used += (size_t)got;
  }
  close(fd);
  buffer[used] = 0;
  if (length) {
    *length = used;
  }
  return buffer;
}

/* The value of KEY= on the kernel command line, "" without it. */
static inline const char* word(const char* key) {
  static char* line;
  static char value[4096];
  if (!line) {
    line = slurp(COMMAND_LINE, NULL);
  }
  value[0] = 0;
  size_t length = strlen(key);
  for (char* p = line ? line : ""; *p;) {
    p += strspn(p, " \n");
    size_t size = strcspn(p, " \n");
    if (size > length && !strncmp(p, key, length) && p[length] == '=') {
      snprintf(value, sizeof value, "%.*s", (int)(size - length - 1), p + length + 1);
    }
    p += size;
  }
  return value;
}
