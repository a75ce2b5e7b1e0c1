// A machine to play a recording on in another order: the recorded hardware, and a kernel that
// answers the daemon's effects as the real one would.
//
// Nothing happens by itself. choices() lists what may happen next (a device appears, an effect is
// carried out, an event reaches the daemon), happen() lets one of them happen: so every causally
// possible order can be played, and the same choices give the same events.
//
// What it keeps true: a child after its parent, a device after its driver, an array's device after
// the array was started. An array or map whose disk is gone stays until it is taken down. Disks get
// their kernel names in the order of their arrival. What is held cannot be taken by another. What
// the recording does not tell is answered with an error that begins with kUnknown.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/event.h"
#include "daemon/replay/hardware.h"
#include "daemon/world.h"

namespace muster::replay {

inline constexpr std::string_view kUnknown = "unknown: ";

struct Choice {
  enum class Kind {
    appear,   // the next moment of a part's life; index: of the part
    act,      // an effect is carried out; index: among those under way
    receive,  // the oldest uevent, or a line of a scan, reaches the daemon
    finish,   // the outcome of an effect reaches the daemon; index: among those carried out
  } kind = Kind::appear;
  std::size_t index = 0;
};

class Machine {
 public:
  // `rename`: kernel names of disks by order of arrival, not as recorded. `absent`: parts that
  // never come. Keeps a reference to `hardware`.
  Machine(const Hardware& hardware, bool rename, std::set<std::size_t> absent = {});

  // In a fixed order. What waits for the machine's operator (end_restore()) is not in it.
  [[nodiscard]] std::vector<Choice> choices() const;
  // The time at which the recording saw what this choice does; 0 if it is not an arrival.
  [[nodiscard]] Micros recorded_time(const Choice& choice) const;
  // What reaches the daemon, if anything does.
  std::optional<EventBody> happen(const Choice& choice);

  // Of a choice `finish`: the effect whose outcome it is.
  [[nodiscard]] EffectId finishing(std::size_t index) const { return carried_out_[index].id; }

  // What the engine wants. Timers, replies and reports are not the machine's.
  void take(const Effect& effect);

  // The oldest uevent is lost. False: there is none that could be.
  bool lose_uevent();
  // A device and everything below it goes, and may come again as it was.
  void pull(std::size_t part);
  [[nodiscard]] bool is_there(std::size_t part) const;

  // An effect that is under way, with a deadline, and was not said to be late yet.
  [[nodiscard]] std::optional<EffectId> can_be_late() const;
  [[nodiscard]] EventBody say_late(EffectId id);

  // mondorestore runs, and nobody ended it yet.
  [[nodiscard]] bool restoring() const { return follow_.has_value(); }
  [[nodiscard]] EventBody end_restore();

  // What the kernel would have refused or worse, the first of it: a module before what it needs,
  // an array that is not read-only; empty if nothing was.
  [[nodiscard]] const std::string& offence() const { return offence_; }
  // Questions that the recording has no answer to.
  [[nodiscard]] const std::set<std::string>& unknown() const { return unknown_; }

  // The name by which the recording knows what is called `kernel` now ("sda"); for arrays and maps
  // what they are. The name itself if there is no other.
  [[nodiscard]] std::string recorded_name(std::string_view kernel) const;
  // The same for every name that stands alone in a text.
  [[nodiscard]] std::string in_recorded_names(std::string_view text) const;
  // Of a device that is there: the recording's devpath, or what an array or map is.
  [[nodiscard]] std::string identity(std::string_view devpath) const;
  // The arrays and maps that effects made and that are there: devpath and what each is.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> built() const;
  // "sdb" for "sdb appears" in a story.
  [[nodiscard]] std::string title(const Choice& choice) const;

 private:
  struct Present {
    std::string devpath;
    std::string kernel;
    std::string identity;             // of what was built; empty for parts
    std::optional<std::size_t> part;  // of hardware
    Properties properties;
    Attributes attributes;
    std::optional<Devno> devno;
    std::uint64_t diskseq = 0;                   // as this kernel counts
    std::uint64_t recorded_diskseq = 0;          // as the recording's did
    std::map<std::string, std::string> held_by;  // who -> "md", "dm" or "mount"
    const Content* content = nullptr;            // of what was built
  };
  struct UnderWay {
    Effect effect;
    std::string half_done;  // devpath of what it made, not running yet
    bool late = false;
  };
  struct Name {
    std::string kernel;
    Devno devno;
  };

  [[nodiscard]] bool may_appear(std::size_t part) const;
  [[nodiscard]] std::size_t times_added(std::size_t part) const;
  [[nodiscard]] bool is_absent(std::size_t part) const;
  void appear(std::size_t part);
  void add_part(std::size_t part, const Moment& moment);
  void vanish(const std::string& devpath);
  void announce(const Present& device, Action action);
  void act(std::size_t index);
  void scan();
  void read_again(const std::string& devpath);
  [[nodiscard]] EventBody receive();

  [[nodiscard]] Outcome carry_out(UnderWay& under_way, bool& done);
  [[nodiscard]] Outcome resolve(const Effect& effect);
  [[nodiscard]] Outcome insert(const Effect& effect);
  [[nodiscard]] Outcome probe(const Effect& effect);
  [[nodiscard]] Outcome assemble(UnderWay& under_way, bool& done);
  [[nodiscard]] Outcome create_map(UnderWay& under_way, bool& done);
  [[nodiscard]] Outcome take_down(const Effect& effect, Present* device);
  [[nodiscard]] Outcome activate(const Effect& effect);
  [[nodiscard]] Outcome deactivate(const Effect& effect);
  [[nodiscard]] Outcome medium(const Effect& effect);
  [[nodiscard]] Outcome recorded_answer(const Effect& effect, bool must_be_known);
  [[nodiscard]] Outcome not_told(const std::string& what);

  [[nodiscard]] Present* find(std::string_view devpath);
  [[nodiscard]] const Present* find(std::string_view devpath) const;
  [[nodiscard]] Present* by_devno(std::string_view devno);
  [[nodiscard]] Present* by_kernel(std::string_view kernel);
  [[nodiscard]] Present* by_identity(std::string_view identity);
  [[nodiscard]] const Content* content_of(const Present& device) const;
  // Empty, or who holds it against a claim of this kind.
  [[nodiscard]] static std::string holder_against(const Present& device, std::string_view kind);
  void release(const std::string& holder);
  Present& make(const std::string& identity, const Built& built, const std::string& kernel,
                Devno devno);
  void settle(Present& device, const Built& built, const std::string& slaves);

  const Hardware& hardware_;
  bool rename_;
  std::set<std::size_t> absent_;
  std::vector<std::size_t> lived_;  // of each part: moments that have happened
  std::vector<std::vector<std::size_t>> children_;
  std::map<std::string, std::vector<Name>> names_;  // by prefix: what disks may be called

  std::map<std::string, Present, std::less<>> present_;  // by devpath
  std::map<std::size_t, std::string> devpath_of_part_;
  std::map<std::string, std::set<std::string>> needs_of_module_;
  std::set<std::string> live_modules_;
  std::size_t reloads_ = 0;
  bool start_ro_ = false;

  std::deque<EventBody> uevents_;
  std::uint64_t seqnum_ = 0;
  std::uint64_t scanned_seqnum_ = 0;
  std::uint64_t diskseq_ = 0;
  std::vector<UnderWay> under_way_;
  std::vector<EffectDone> carried_out_;
  std::optional<Effect> follow_;
  std::string offence_;
  std::set<std::string> unknown_;
};

}  // namespace muster::replay
