/*
 * The stand-in for mondorestore: says what it was given, then behaves as the kernel command line asks.
 *
 * The report goes to the third serial line, one JSON object a line: {"section": NAME, "value": ...}, from "start" to
 * "end". It is gathered in the order in which the real program would meet things: what was there at the start first,
 * then the medium (umount, mount again by its fixed name, as mondorestore does), then the devices.
 *
 *   vmtest.hash=/dev/vg/lv,...     devices and files whose content is hashed
 *   vmtest.hidden=REGEX            devices that lvm is not to look at here, because they hang
 *   vmtest.do=WORD[,WORD...]       result:N  print "Execution run ended; result=N", exit N & 255  (default result:0)
 *                                  crash     die of SIGSEGV
 *                                  hang      wait until /vmtest/release exists, then go on
 *                                  long:N    run N more seconds of guest time
 *                                  destroy   remove every volume group in sight, as a nuke with LVM does
 *                                  format:D  make a file system (ext2) on /dev/D
 *                                  quiet     report only the start
 *                                  show      tell whoever watches the console what it was given
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "common.h"

static FILE *out;

/* ------------------------------------------------------------------ JSON */

static void put_text(const char *text, size_t length)
{
	fputc('"', out);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 32 || c > 126)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_string(const char *text)
{
	if (text)
		put_text(text, strlen(text));
	else
		fputs("null", out);
}

static void put_key(const char *key)
{
	put_string(key);
	fputc(':', out);
}

static void begin(const char *section)
{
	fprintf(out, "{\"section\":\"%s\",\"value\":", section);
}

static void finish(void)
{
	fputs("}\n", out);
	fflush(out);
}

/* ------------------------------------------------------------- the world */

/* Output of a program, NUL-terminated; *status as from a shell. The caller frees. */
static char *capture(char *const argv[], int *status)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return NULL;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/vmtest/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	size_t used = 0, room = 4096;
	char *buffer = malloc(room + 1);
	for (ssize_t got; (got = read(ends[0], buffer + used, room - used)) > 0;) {
		used += (size_t)got;
		if (used == room)
			buffer = realloc(buffer, (room *= 2) + 1);
	}
	close(ends[0]);
	buffer[used] = 0;
	int raw = 0;
	waitpid(pid, &raw, 0);
	*status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
	return buffer;
}

static char *sha256(const char *path)
{
	int status;
	char *const argv[] = {BUSYBOX, "sha256sum", (char *)path, NULL};
	char *text = capture(argv, &status);
	if (status != 0) {
		free(text);
		return NULL;
	}
	text[strcspn(text, " ")] = 0;
	return text;
}

static void trim(char *text)
{
	size_t length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = 0;
}

static char *attribute(const char *directory, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	char *text = slurp(path, NULL);
	if (text)
		trim(text);
	return text;
}

static void put_attribute(const char *key, const char *directory, const char *name)
{
	char *text = attribute(directory, name);
	put_key(key);
	put_string(text);
	free(text);
}

/* ------------------------------------------------------------- sections */

static void report_start(int argc, char **argv, int starts)
{
	begin("start");
	fprintf(out, "{\"boottime_ns\":%llu,\"starts\":%d,\"pid\":%d,\"uid\":%d,\"argv\":[",
		(unsigned long long)now_ns(), starts, getpid(), getuid());
	for (int i = 0; i < argc; i++) {
		if (i)
			fputc(',', out);
		put_string(argv[i]);
	}
	fputs("],\"environment\":{", out);
	for (int i = 0; environ[i]; i++) {
		char *equals = strchr(environ[i], '=');
		if (!equals)
			continue;
		if (i)
			fputc(',', out);
		put_text(environ[i], (size_t)(equals - environ[i]));
		fputc(':', out);
		put_string(equals + 1);
	}
	char cwd[PATH_MAX] = "";
	if (!getcwd(cwd, sizeof cwd))
		cwd[0] = 0;
	fputs("},\"cwd\":", out);
	put_string(cwd);
	char name[PATH_MAX] = "";
	if (ttyname_r(0, name, sizeof name))
		name[0] = 0;
	int control = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	fprintf(out, ",\"stdin_tty\":");
	put_string(name);
	fprintf(out, ",\"stdout_is_tty\":%s,\"has_controlling_tty\":%s,\"session_leader\":%s,\"foreground\":%s",
		isatty(1) ? "true" : "false", control >= 0 ? "true" : "false", getsid(0) == getpid() ? "true" : "false",
		control >= 0 && tcgetpgrp(control) == getpgrp() ? "true" : "false");
	if (control >= 0)
		close(control);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/comm", getppid());
	char *parent = slurp(path, NULL);
	if (parent)
		trim(parent);
	fprintf(out, ",\"parent_pid\":%d,\"parent\":", getppid());
	put_string(parent);
	fputs("}", out);
	finish();
}

static void report_file(const char *section, const char *path)
{
	char *text = slurp(path, NULL);
	begin(section);
	put_string(text);
	finish();
	free(text);
}

static void report_files(void)
{
	static const char *const paths[] = {
		"/tmp/mondo-restore.cfg", "/tmp/mountlist.txt", "/tmp/mountlist.original", "/tmp/fstab", "/tmp/raidtab",
		"/etc/raidtab", "/etc/fstab", "/tmp/i-want-my-lvm", "/THIS-IS-A-RAMDISK", "/tmp/CDROM-LIVES-HERE",
		"/tmp/original-lsmod.txt", "/tmp/NOPAUSE", "/usr/share/vmtest-tools", "/etc/lvm/lvm.conf",
		"/etc/lvm/lvmlocal.conf"};
	begin("files");
	fputc('{', out);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct stat s;
		fprintf(out, "%s\"%s\":", i ? "," : "", paths[i]);
		if (stat(paths[i], &s)) {
			fputs("null", out);
			continue;
		}
		char *hash = sha256(paths[i]);
		size_t length = 0;
		char *text = slurp(paths[i], &length);
		fprintf(out, "{\"size\":%lld,\"sha256\":", (long long)s.st_size);
		put_string(hash);
		fputs(",\"text\":", out);
		put_text(text ? text : "", length < 2048 ? length : 2048);
		fputc('}', out);
		free(hash);
		free(text);
	}
	fputc('}', out);
	finish();
}

/* mondorestore umounts /mnt/cdrom and mounts /dev/cdrom there itself: what counts is that this works. */
static void report_medium(void)
{
	char target[PATH_MAX] = "";
	ssize_t length = readlink("/dev/cdrom", target, sizeof target - 1);
	begin("medium");
	fputs("{\"link\":", out);
	put_string(length > 0 ? target : NULL);
	errno = 0;
	int umounted = umount("/mnt/cdrom");
	fprintf(out, ",\"umount_errno\":%d", umounted ? errno : 0);
	mkdir("/mnt/cdrom", 0755);
	errno = 0;
	int mounted = mount("/dev/cdrom", "/mnt/cdrom", "iso9660", MS_RDONLY, NULL);
	fprintf(out, ",\"mount_errno\":%d", mounted ? errno : 0);
	static const char *const names[] = {"THIS-CD-NUMBER", "SERIAL-STRING"};
	for (size_t i = 0; i < 2; i++) {
		char path[64];
		snprintf(path, sizeof path, "/mnt/cdrom/archives/%s", names[i]);
		char *text = mounted ? NULL : slurp(path, NULL);
		if (text)
			trim(text);
		fputc(',', out);
		put_key(names[i]);
		put_string(text);
		free(text);
	}
	/* The ISO directory, if the case names one: LOOP-MOUNT of disc 1 below a mount point from /proc/mounts. */
	const char *iso = word("vmtest.iso");
	if (*iso) {
		char *table = slurp("/proc/mounts", NULL), *rest = table;
		fputs(",\"iso\":[", out);
		int found = 0;
		for (char *line; (line = strsep(&rest, "\n"));) {
			char device[256], where[PATH_MAX], path[PATH_MAX + 512];
			if (sscanf(line, "%255s %4095s", device, where) != 2)
				continue;
			snprintf(path, sizeof path, "%s/%s", where, iso);
			if (access(path, R_OK))
				continue;
			int status;
			if (!mounted)
				umount("/mnt/cdrom");
			char *const argv[] = {BUSYBOX, "mount", "-r", "-t", "iso9660", "-o", "loop", path, "/mnt/cdrom", NULL};
			char *text = capture(argv, &status);
			char *number = status ? NULL : slurp("/mnt/cdrom/archives/THIS-CD-NUMBER", NULL);
			fputs(found++ ? ",{\"device\":" : "{\"device\":", out);
			put_string(device);
			fputs(",\"where\":", out);
			put_string(where);
			fprintf(out, ",\"loop_mount\":%d,\"THIS-CD-NUMBER\":", status);
			put_string(number);
			fputs(",\"options\":", out);
			put_string(line);
			fputc('}', out);
			free(text);
			free(number);
			if (!status)
				umount("/mnt/cdrom");
		}
		fputc(']', out);
		free(table);
	}
	fputc('}', out);
	finish();
}

/* A device's own name: SCSI unit serial number page, or the nearest "serial" upwards (NVMe, virtio, USB). */
static void put_serial(const char *directory)
{
	char path[PATH_MAX], real[PATH_MAX];
	size_t length = 0;
	snprintf(path, sizeof path, "%s/device/vpd_pg80", directory);
	char *page = slurp(path, &length);
	if (page && length > 4) {
		char *text = page + 4;
		text[length - 4] = 0;
		while (*text == ' ')
			text++;
		trim(text);
		if (*text) {
			put_string(text);
			free(page);
			return;
		}
	}
	free(page);
	if (realpath(directory, real)) {
		for (char *slash; (slash = strrchr(real, '/')) && slash > real + 5; *slash = 0) {
			char *text = attribute(real, "serial");
			if (text && *text) {
				put_string(text);
				free(text);
				return;
			}
			free(text);
		}
	}
	fputs("null", out);
}

static void put_list(const char *key, const char *directory, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	DIR *handle = opendir(path);
	put_key(key);
	fputc('[', out);
	int count = 0;
	for (struct dirent *e; handle && (e = readdir(handle));) {
		if (e->d_name[0] == '.')
			continue;
		if (count++)
			fputc(',', out);
		put_string(e->d_name);
	}
	fputc(']', out);
	if (handle)
		closedir(handle);
}

static void put_block(const char *directory)
{
	char path[PATH_MAX];
	put_attribute("dev", directory, "dev");
	fputc(',', out);
	put_attribute("size", directory, "size");
	fputc(',', out);
	put_attribute("ro", directory, "ro");
	fputc(',', out);
	put_attribute("stat", directory, "stat");
	fputc(',', out);
	put_list("holders", directory, "holders");
	fputc(',', out);
	put_list("slaves", directory, "slaves");
	snprintf(path, sizeof path, "%s/md", directory);
	if (access(path, F_OK) == 0) {
		static const char *const names[] = {"array_state", "degraded", "sync_action", "level", "raid_disks",
						    "metadata_version", "uuid", "sync_completed", "mismatch_cnt"};
		fputs(",\"md\":{", out);
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			if (i)
				fputc(',', out);
			put_attribute(names[i], path, names[i]);
		}
		fputs(",\"members\":{", out);
		DIR *handle = opendir(path);
		int count = 0;
		for (struct dirent *e; handle && (e = readdir(handle));) {
			if (strncmp(e->d_name, "dev-", 4))
				continue;
			char member[PATH_MAX + 300];
			snprintf(member, sizeof member, "%s/%s", path, e->d_name);
			if (count++)
				fputc(',', out);
			put_key(e->d_name + 4);
			fputc('{', out);
			put_attribute("slot", member, "slot");
			fputc(',', out);
			put_attribute("state", member, "state");
			fputc('}', out);
		}
		if (handle)
			closedir(handle);
		fputs("}}", out);
	}
	snprintf(path, sizeof path, "%s/dm", directory);
	if (access(path, F_OK) == 0) {
		fputs(",\"dm\":{", out);
		put_attribute("name", path, "name");
		fputc(',', out);
		put_attribute("uuid", path, "uuid");
		fputc('}', out);
	}
}

static void report_block(void)
{
	DIR *handle = opendir("/sys/block");
	int count = 0;
	begin("block");
	fputc('{', out);
	for (struct dirent *e; handle && (e = readdir(handle));) {
		if (e->d_name[0] == '.' || !strncmp(e->d_name, "loop", 4) || !strncmp(e->d_name, "ram", 3))
			continue;
		char directory[PATH_MAX];
		snprintf(directory, sizeof directory, "/sys/block/%s", e->d_name);
		if (count++)
			fputc(',', out);
		put_key(e->d_name);
		fputs("{\"serial\":", out);
		put_serial(directory);
		fputc(',', out);
		put_block(directory);
		fputs(",\"partitions\":{", out);
		DIR *inner = opendir(directory);
		int partitions = 0;
		for (struct dirent *p; inner && (p = readdir(inner));) {
			char below[PATH_MAX + 300];
			snprintf(below, sizeof below, "%s/%s/partition", directory, p->d_name);
			if (p->d_name[0] == '.' || access(below, F_OK))
				continue;
			below[strlen(below) - strlen("/partition")] = 0;
			if (partitions++)
				fputc(',', out);
			put_key(p->d_name);
			fputc('{', out);
			put_attribute("partition", below, "partition");
			fputc(',', out);
			put_block(below);
			fputc('}', out);
		}
		if (inner)
			closedir(inner);
		fputs("}}", out);
	}
	if (handle)
		closedir(handle);
	fputc('}', out);
	finish();
}

static struct dm_ioctl *dm_call(int fd, unsigned long request, const char *name, uint32_t flags, void *buffer)
{
	struct dm_ioctl *io = buffer;
	memset(io, 0, sizeof *io);
	io->version[0] = 4;
	io->data_size = 65536;
	io->data_start = sizeof *io;
	io->flags = flags;
	if (name)
		snprintf(io->name, sizeof io->name, "%s", name);
	return ioctl(fd, request, io) ? NULL : io;
}

static void report_dm(void)
{
	static char names[65536] __attribute__((aligned(16))), table[65536] __attribute__((aligned(16)));
	int fd = open("/vmtest/dev/dm-control", O_RDWR | O_CLOEXEC);
	begin("dm");
	fputc('{', out);
	struct dm_ioctl *list = fd < 0 ? NULL : dm_call(fd, DM_LIST_DEVICES, NULL, 0, names);
	int count = 0;
	struct dm_name_list *item = list ? (void *)(names + list->data_start) : NULL;
	while (item && item->dev) {
		if (count++)
			fputc(',', out);
		put_key(item->name);
		struct dm_ioctl *io = dm_call(fd, DM_TABLE_STATUS, item->name, DM_STATUS_TABLE_FLAG, table);
		fprintf(out, "{\"dev\":\"%u:%u\",\"uuid\":", major(item->dev), minor(item->dev));
		put_string(io ? io->uuid : NULL);
		fprintf(out, ",\"suspended\":%s,\"read_only\":%s,\"open\":%d,\"table\":[",
			io && (io->flags & DM_SUSPEND_FLAG) ? "true" : "false",
			io && (io->flags & DM_READONLY_FLAG) ? "true" : "false", io ? io->open_count : -1);
		char *at = table + (io ? io->data_start : 0);
		for (uint32_t i = 0; io && i < io->target_count; i++) {
			struct dm_target_spec *target = (void *)at;
			char line[4096];
			snprintf(line, sizeof line, "%llu %llu %s %s", (unsigned long long)target->sector_start,
				 (unsigned long long)target->length, target->target_type, (char *)(target + 1));
			if (i)
				fputc(',', out);
			put_string(line);
			at = table + io->data_start + target->next;
		}
		fputs("]}", out);
		if (!item->next)
			break;
		item = (void *)((char *)item + item->next);
	}
	fputc('}', out);
	finish();
	if (fd >= 0)
		close(fd);
}

static void report_hashes(void)
{
	char list[4096], *rest = list;
	snprintf(list, sizeof list, "%s", word("vmtest.hash"));
	begin("hashes");
	fputc('{', out);
	int count = 0;
	for (char *path; (path = strsep(&rest, ","));) {
		if (!*path)
			continue;
		char *hash = sha256(path);
		if (count++)
			fputc(',', out);
		put_key(path);
		put_string(hash);
		free(hash);
	}
	fputc('}', out);
	finish();
}

static int links_written;

static void put_links(const char *directory, int depth)
{
	DIR *handle = opendir(directory);
	for (struct dirent *e; handle && (e = readdir(handle));) {
		char path[PATH_MAX], real[PATH_MAX];
		struct stat s;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
		if (lstat(path, &s))
			continue;
		if (S_ISDIR(s.st_mode) && depth) {
			put_links(path, depth - 1);
		} else if ((S_ISLNK(s.st_mode) && realpath(path, real)) || S_ISBLK(s.st_mode)) {
			struct stat device;
			if (stat(path, &device) || !S_ISBLK(device.st_mode))
				continue;
			if (links_written++)
				fputc(',', out);
			put_key(path);
			fprintf(out, "{\"dev\":\"%u:%u\",\"link\":%s}", major(device.st_rdev), minor(device.st_rdev),
				S_ISLNK(s.st_mode) ? "true" : "false");
		}
	}
	if (handle)
		closedir(handle);
}

static void report_links(void)
{
	begin("links");
	fputc('{', out);
	put_links("/dev", 2);
	fputc('}', out);
	finish();
}

static void report_command(const char *section, const char *command)
{
	/* The image's own tools are the witnesses, whatever a medium put into PATH. */
	char line[1024];
	snprintf(line, sizeof line, "PATH=/usr/lib/muster/bin:$PATH; %s", command);
	int status;
	char *const argv[] = {BUSYBOX, "sh", "-c", line, NULL};
	char *text = capture(argv, &status);
	begin(section);
	fprintf(out, "{\"status\":%d,\"output\":", status);
	put_string(text);
	fputc('}', out);
	finish();
	free(text);
}

/* Word for word the steps of a nuke with LVM: whatever `lvm` shows with its default configuration goes. */
static const char destroy[] =
	"lvm lvscan 2>&1; "
	"for lv in $(lvm lvscan 2>/dev/null | sed -n \"s/.*'\\(.*\\)'.*/\\1/p\"); do echo remove $lv; lvm lvremove -f $lv 2>&1; done; "
	"for vg in $(lvm vgscan 2>/dev/null | sed -n 's/.*\"\\(.*\\)\".*/\\1/p'); do echo remove $vg; lvm vgchange -a n $vg 2>&1; "
	"lvm vgremove $vg 2>&1; done";

static const char show[] =
	"echo; echo '  mondorestore (a stand-in) was started with:'; "
	"echo \"    argument    $*\"; "
	"echo \"    /dev/cdrom  $(readlink /dev/cdrom), disc $(cat /mnt/cdrom/archives/THIS-CD-NUMBER 2>/dev/null)\"; "
	"for m in /sys/block/md*; do [ -d $m/md ] && echo \"    array       ${m##*/}: $(cat $m/md/level), "
	"$(cat $m/md/array_state), $(cat $m/md/raid_disks) members\"; done; "
	"for d in /sys/block/dm-*; do [ -d $d ] && echo \"    volume      $(cat $d/dm/name): "
	"$(($(cat $d/size) / 2048)) MiB\"; done; "
	"for d in /sys/block/sd* /sys/block/nvme* /sys/block/vd*; do [ -d $d ] && echo \"    disk        ${d##*/}: "
	"$(($(cat $d/size) / 2048)) MiB\"; done; echo";

static int count_start(void)
{
	int fd = open("/vmtest/starts", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dprintf(fd, "%d %llu\n", getpid(), (unsigned long long)now_ns());
	close(fd);
	char *text = slurp("/vmtest/starts", NULL);
	int lines = 0;
	for (char *p = text; p && (p = strchr(p, '\n')); p++)
		lines++;
	free(text);
	return lines;
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	int starts = count_start();
	int port = open_port("/vmtest/dev/ttyS2", 0);
	out = port < 0 ? stderr : fdopen(port, "w");
	report_start(argc, argv, starts);
	char words[1024], *rest = words;
	snprintf(words, sizeof words, "%s", word("vmtest.do"));
	if (!strstr(words, "quiet")) {
		report_file("mounts", "/proc/mounts");
		report_file("mdstat", "/proc/mdstat");
		report_file("cmdline", "/proc/cmdline");
		report_file("modules", "/proc/modules");
		report_file("filesystems", "/proc/filesystems");
		report_file("start_ro", "/sys/module/md_mod/parameters/start_ro");
		report_files();
		report_block();
		report_dm();
		report_links();
		report_medium();
		report_hashes();
		if (*word("vmtest.hidden")) {
			char filter[256];
			snprintf(filter, sizeof filter, "--config=devices/filter=[\"r|%s|\"]", word("vmtest.hidden"));
			setenv("SEEN", filter, 1);
		}
		report_command("lvs", "lvm lvs $SEEN --reportformat json -o lv_name,vg_name,lv_attr,lv_uuid,lv_active,segtype,devices "
				      "2>/vmtest/lvs.err");
		report_command("vgs", "lvm vgs $SEEN --reportformat json -o vg_name,vg_uuid,vg_attr,vg_missing_pv_count,vg_seqno "
				      "2>/vmtest/vgs.err");
		report_command("lvm_says", "cat /vmtest/lvs.err /vmtest/vgs.err");
		report_command("mdadm", "for m in /sys/block/md[0-9]*; do [ -d $m ] && echo ARRAY=${m##*/} && mdadm --detail --export /dev/${m##*/}; done");
		report_command("dmesg_tail", "dmesg | tail -n 40");
	}
	long result = 0;
	for (char *item; (item = strsep(&rest, ","));) {
		if (!strcmp(item, "destroy")) {
			report_command("destroy", destroy);
		} else if (!strncmp(item, "format:", 7)) {
			char command[128];
			snprintf(command, sizeof command, "/vmtest/bin/mke2fs -F /dev/%s 2>&1; sync", item + 7);
			report_command("format", command);
		} else if (!strcmp(item, "show")) {
			int status;
			char *const call[] = {BUSYBOX, "sh", "-c", (char *)show, "sh", argc > 1 ? argv[1] : "none", NULL};
			char *text = capture(call, &status);
			fputs(text, stdout);
			fflush(stdout);
			free(text);
		} else if (!strcmp(item, "hang")) {
			begin("hanging");
			fputs("true", out);
			finish();
			while (access("/vmtest/release", F_OK))
				pause_ms(50);
		} else if (!strncmp(item, "long:", 5)) {
			uint64_t end = now_ns() + strtoull(item + 5, NULL, 10) * 1000000000ull;
			begin("running");
			fputs("true", out);
			finish();
			while (now_ns() < end)
				pause_ms(50);
		} else if (!strncmp(item, "result:", 7)) {
			result = strtol(item + 7, NULL, 10);
		} else if (!strcmp(item, "crash")) {
			begin("end");
			fputs("\"crash\"", out);
			finish();
			tcdrain(port);
			signal(SIGSEGV, SIG_DFL);
			raise(SIGSEGV);
		}
	}
	printf("Execution run ended; result=%ld\n", result);
	fflush(stdout);
	char *text = slurp("/vmtest/starts", NULL);
	begin("end");
	fprintf(out, "{\"result\":%ld,\"boottime_ns\":%llu,\"starts\":", result, (unsigned long long)now_ns());
	put_string(text);
	fputc('}', out);
	finish();
	tcdrain(port);
	return (int)(result & 255);
}
