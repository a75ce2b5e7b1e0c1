#include "handlers/probe/optical_drive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/cdrom.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace muster::probe {
namespace {

constexpr std::uint64_t kBlock = 2048;

// READ DISC INFORMATION: the kernel's own disc status does not know blank discs.
bool is_blank(const Fd& drive) {
  std::array<unsigned char, 34> answer{};
  cdrom_generic_command command = {};
  command.cmd[0] = GPCMD_READ_DISC_INFO;
  command.cmd[8] = answer.size();
  command.buffer = answer.data();
  command.buflen = answer.size();
  command.data_direction = CGC_DATA_READ;
  command.timeout = 10 * 100;  // in USER_HZ
  command.quiet = 1;
  return ::ioctl(drive.get(), CDROM_SEND_PACKET, &command) == 0 && (answer[2] & 3U) == 0;
}

std::uint64_t last_session(const Fd& drive) {
  cdrom_multisession session = {};
  session.addr_format = CDROM_LBA;
  if (::ioctl(drive.get(), CDROMMULTISESSION, &session) != 0 || session.xa_flag == 0 ||
      session.addr.lba <= 0) {
    return 0;
  }
  return static_cast<std::uint64_t>(session.addr.lba) * kBlock;
}

Result<Fd> open_without_closing_tray(const BlockDevices& devices, std::string_view devno,
                                     const Fd& drive) {
  const int options = ::ioctl(drive.get(), CDROM_SET_OPTIONS, 0);
  const bool closes = options >= 0 && (options & CDO_AUTO_CLOSE) != 0;
  if (closes) {
    ::ioctl(drive.get(), CDROM_CLEAR_OPTIONS, CDO_AUTO_CLOSE);
  }
  auto disc = devices.open(devno, O_RDONLY);
  if (closes) {
    ::ioctl(drive.get(), CDROM_SET_OPTIONS, CDO_AUTO_CLOSE);
  }
  return disc;
}

}  // namespace

Result<OpticalState> look_into_drive(const BlockDevices& devices, std::string_view devno) {
  const auto drive = devices.open(devno, O_RDONLY | O_NONBLOCK);
  if (!drive) {
    return tl::unexpected(drive.error());
  }
  OpticalState state;
  switch (::ioctl(drive->get(), CDROM_DRIVE_STATUS, CDSL_CURRENT)) {
    case CDS_TRAY_OPEN:
      state.drive = "tray_open";
      return state;
    case CDS_NO_DISC:
      state.drive = "no_disc";
      return state;
    case CDS_DRIVE_NOT_READY:
      state.drive = "not_ready";
      return state;
    default:
      break;  // a disc, or a drive that does not say
  }
  const int disc_status = ::ioctl(drive->get(), CDROM_DISC_STATUS, 0);
  if (disc_status == CDS_NO_DISC) {
    state.drive = "no_disc";
    return state;
  }
  if (disc_status == CDS_AUDIO) {
    state.drive = "data";
    state.note = "an audio disc";
    return state;
  }
  const bool tracks = disc_status == CDS_DATA_1 || disc_status == CDS_DATA_2 ||
                      disc_status == CDS_XA_2_1 || disc_status == CDS_XA_2_2 ||
                      disc_status == CDS_MIXED;
  if (!tracks && is_blank(*drive)) {
    state.drive = "blank";
    return state;
  }
  auto disc = open_without_closing_tray(devices, devno, *drive);
  if (!disc) {
    // It was taken out since, or cannot be read.
    state.drive = disc.error().os_error == ENOMEDIUM ? "no_disc" : "not_ready";
    state.note = disc.error().text;
    return state;
  }
  state.drive = "data";
  state.session_offset = last_session(*disc);
  state.disc = *std::move(disc);
  return state;
}

}  // namespace muster::probe
