/*
 * The harness's hand in the guest.
 *
 * The kernel starts it as rdinit=/vmtest/agent. It puts the stand-in in place, forks, and becomes the image's /init in
 * the parent, so that /init is PID 1 as always. The child serves one serial line:
 *
 *   host:  run ID COMMAND          guest:  out ID STATUS LENGTH NS\n<bytes>\n     (any number at once)
 *   host:  at ID MILLISECONDS      guest:  mark ID NS          (CLOCK_BOOTTIME, so hot-plug keeps the guest's time)
 *   host:  in ID MILLISECONDS      guest:  mark ID NS
 *   guest: hello NS                once, at the start
 *
 * It also writes down every uevent with its time in /vmtest/uevents: a witness that owes nothing to the daemon.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common.h"

enum { kJobs = 32, kTimers = 128 };

struct job {
	char id[32];
	int pipe;
	pid_t pid;
	char *output;
	size_t used, room;
};

struct timer {
	char id[32];
	uint64_t due;
};

static struct job jobs[kJobs];
static struct timer timers[kTimers];
static int timer_count;
static char *pending;
static size_t pending_used, pending_room;

static void queue(const char *bytes, size_t length)
{
	if (pending_used + length > pending_room)
		pending = realloc(pending, pending_room = (pending_used + length) * 2);
	memcpy(pending + pending_used, bytes, length);
	pending_used += length;
}

static void say(const char *format, ...)
{
	char line[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	queue(line, (size_t)n);
}

static void start_job(const char *id, const char *command)
{
	int slot = 0, ends[2];
	while (slot < kJobs && jobs[slot].pid)
		slot++;
	if (slot == kJobs || pipe2(ends, O_CLOEXEC)) {
		say("out %s 255 0 0\n\n", id);
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/vmtest/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		setsid();
		setenv("PATH", "/vmtest/bin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/lib/muster/bin", 1);
		execl(BUSYBOX, "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	struct job *job = &jobs[slot];
	memset(job, 0, sizeof *job);
	snprintf(job->id, sizeof job->id, "%s", id);
	job->pid = pid;
	job->pipe = ends[0];
}

static void feed_job(struct job *job)
{
	if (job->used == job->room)
		job->output = realloc(job->output, job->room = job->room ? job->room * 2 : 4096);
	ssize_t got = read(job->pipe, job->output + job->used, job->room - job->used);
	if (got > 0) {
		job->used += (size_t)got;
		return;
	}
	int status = 0;
	close(job->pipe);
	pid_t waited;
	while ((waited = waitpid(job->pid, &status, 0)) < 0 && errno == EINTR) {
	}
	int code = waited < 0 ? 254 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	say("out %s %d %zu %llu\n", job->id, code, job->used, (unsigned long long)now_ns());
	queue(job->output, job->used);
	queue("\n", 1);
	free(job->output);
	job->pid = 0;
}

static void obey(char *line)
{
	char *id = strchr(line, ' ');
	char *rest = id ? strchr(id + 1, ' ') : NULL;
	if (!rest)
		return;
	*id++ = 0;
	*rest++ = 0;
	if (!strcmp(line, "run")) {
		start_job(id, rest);
	} else if (timer_count < kTimers) {
		struct timer *timer = &timers[timer_count++];
		snprintf(timer->id, sizeof timer->id, "%s", id);
		timer->due = strtoull(rest, NULL, 10) * 1000000ull + (strcmp(line, "in") ? 0 : now_ns());
	}
}

/* Fires what is due; returns the milliseconds until the next, -1 for none. */
static int fire_timers(void)
{
	uint64_t now = now_ns(), next = UINT64_MAX;
	for (int i = 0; i < timer_count;) {
		if (timers[i].due <= now) {
			say("mark %s %llu\n", timers[i].id, (unsigned long long)now);
			timers[i] = timers[--timer_count];
		} else {
			if (timers[i].due < next)
				next = timers[i].due;
			i++;
		}
	}
	return next == UINT64_MAX ? -1 : (int)((next - now) / 1000000 + 1);
}

static int open_uevents(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int size = 16 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	if (bind(fd, (struct sockaddr *)&address, sizeof address))
		return -1;
	return fd;
}

static void note_uevents(int fd, FILE *log)
{
	char message[16384];
	ssize_t got;
	while ((got = recv(fd, message, sizeof message - 1, 0)) > 0) {
		message[got] = 0;
		const char *subsystem = "-", *name = "-";
		for (char *p = message + strlen(message) + 1; p < message + got; p += strlen(p) + 1) {
			if (!strncmp(p, "SUBSYSTEM=", 10))
				subsystem = p + 10;
			else if (!strncmp(p, "DEVNAME=", 8))
				name = p + 8;
		}
		fprintf(log, "%llu %s %s %s\n", (unsigned long long)now_ns(), message, subsystem, name);
	}
	fflush(log);
}

static void serve(int uevents)
{
	int port = open_port("/vmtest/dev/ttyS1", O_NONBLOCK);
	FILE *log = fopen("/vmtest/uevents", "we");
	static char input[65536];
	size_t filled = 0;
	signal(SIGPIPE, SIG_IGN);
	say("hello %llu\n", (unsigned long long)now_ns());
	for (;;) {
		struct pollfd polls[kJobs + 2];
		int owner[kJobs + 2], count = 2;
		int wait = fire_timers();
		polls[0] = (struct pollfd){port, (short)(POLLIN | (pending_used ? POLLOUT : 0)), 0};
		polls[1] = (struct pollfd){uevents, POLLIN, 0};
		for (int i = 0; i < kJobs; i++) {
			if (jobs[i].pid) {
				owner[count] = i;
				polls[count++] = (struct pollfd){jobs[i].pipe, POLLIN, 0};
			}
		}
		if (poll(polls, (nfds_t)count, wait) < 0)
			continue;
		if (polls[1].revents)
			note_uevents(uevents, log);
		for (int i = 2; i < count; i++)
			if (polls[i].revents)
				feed_job(&jobs[owner[i]]);
		if (polls[0].revents & POLLOUT) {
			ssize_t put = write(port, pending, pending_used);
			if (put > 0) {
				pending_used -= (size_t)put;
				memmove(pending, pending + put, pending_used);
			}
		}
		if (polls[0].revents & POLLIN) {
			ssize_t got = read(port, input + filled, sizeof input - 1 - filled);
			if (got > 0)
				filled += (size_t)got;
			input[filled] = 0;
			char *end;
			while ((end = strchr(input, '\n'))) {
				*end = 0;
				obey(input);
				filled -= (size_t)(end + 1 - input);
				memmove(input, end + 1, filled + 1);
			}
			if (filled == sizeof input - 1)
				filled = 0;
		}
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	/* Bound before /init runs: the witness misses nothing. */
	int uevents = open_uevents();
	/* Placed at run time: an archive entry below /sbin would fail or replace a link, depending on the image. */
	mkdir("/sbin", 0755);
	if (access("/vmtest/standin", F_OK) == 0) {
		unlink("/sbin/mondorestore");
		if (link("/vmtest/standin", "/sbin/mondorestore"))
			symlink("/vmtest/standin", "/sbin/mondorestore");
	}
	if (fork() == 0) {
		setsid();
		serve(uevents);
		_exit(0);
	}
	close(uevents);
	argv[0] = "/init";
	execv("/init", argv);
	perror("vmtest: cannot start /init");
	return 1;
}
