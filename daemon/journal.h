// Every event and every effect, in order, one JSON object a line: the log, the recording and the
// test case.
//
//   {"journal":1,"segment":1,"muster":"0.1.0","kernel":"6.1.0","rules":[{"name":…,"text":…}]}
//   {"event":"device","t":1234,…}          event_json.h
//   {"effect":"insert","handler":"driver","t":1234,…}
//
// JOURNAL.md says what is in it. The file lives in memory (/run), so it is bounded: at the limit it
// becomes PATH.1 (what was there before is dropped) and a new segment begins, whose header holds
// the state before its first event, so that it replays by itself. A journal that is found at the
// start is an earlier daemon's and is kept beside the new one as journal.1.jsonl, journal.2.jsonl
// …; of very many the first and the last are kept.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster {

inline constexpr int kJournalVersion = 1;

class JournalWriter {
 public:
  // Of the lines of one segment; its header comes on top of it, and the last event of a segment
  // may reach over it. A segment whose header is longer (the state of thousands of disks) may grow
  // as long as that: putting the state together must not become most of the work.
  static constexpr std::size_t kLimit = std::size_t{8} * 1024 * 1024;

  // `header`: what the first line of each segment says besides version and segment. The directory
  // is made if it is missing. What lies at `path` and is no regular file is refused and left alone.
  [[nodiscard]] static Result<JournalWriter> open(std::string path, Json header,
                                                  std::size_t limit = kLimit);

  // An event and the effects that it had, a line each with its newline. Nothing is written yet.
  void add(std::string_view lines);
  // Writes what was added, in one write(2). What cannot be written (no memory left) is dropped: the
  // machine is to be readied, journal or not.
  [[nodiscard]] Result<void> flush();

  // A new segment is to begin before the next event: this one is full, or something had to be
  // dropped. After an attempt that failed, not again before the next flush().
  [[nodiscard]] bool due() const;
  // Writes what was added, then begins the segment. `state` joins the header: "snapshot", "timers".
  // Where it fails, the present segment stays as it is.
  [[nodiscard]] Result<void> begin_segment(Json state);

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  JournalWriter(std::string path, Json header, std::size_t limit)
      : path_(std::move(path)), header_(std::move(header)), limit_(limit) {}
  [[nodiscard]] Result<Fd> start_file(const std::string& path, const Json& state);
  [[nodiscard]] Result<void> write(const Fd& fd, std::string_view text) const;

  std::string path_;
  Json header_;
  std::size_t limit_;
  unsigned segment_ = 0;
  std::size_t size_ = 0;        // of the lines after the header
  std::size_t state_size_ = 0;  // of the header, where it holds a state
  bool gap_ = false;            // something was dropped: what follows does not replay
  bool tried_ = false;          // a new segment could not be begun since the last flush
  Fd fd_;
  std::string batch_;
};

// The files of a journal that are there, oldest first: those of earlier daemons of this boot, the
// segment before the present one, the present one.
[[nodiscard]] std::vector<std::string> journal_files(const std::string& path);

class JournalReader {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{16} * 1024 * 1024;

  [[nodiscard]] static Result<JournalReader> open(const std::string& path);
  explicit JournalReader(Fd fd) : fd_(std::move(fd)) {}

  struct Line {
    std::size_t number = 0;  // from 1
    Json json;               // an object
  };
  // The next line; nothing at the end. Errors name the line; what follows it can still be read,
  // unless the line was too long or the file could not be read.
  [[nodiscard]] Result<std::optional<Line>> next();
  // The file ended within a line: its writer died in the middle, or is not done.
  [[nodiscard]] bool cut_off() const { return cut_off_; }

 private:
  Fd fd_;
  std::string buffer_;
  std::size_t used_ = 0;  // of the buffer
  std::size_t number_ = 0;
  bool end_ = false;
  bool cut_off_ = false;
};

}  // namespace muster
