// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of an emulated host, once init has set it up: runs one
 * command, carries its input and output over the second serial port, ends
 * everything that the command left behind, unloads umbra.ko and switches the
 * host off.
 *
 * The line carries frames: a type, a length (16 bits, little-endian), that many
 * bytes. From here: 'r' the command runs, 'o' and 'e' its output and errors,
 * 'a' so many bytes of input were consumed (16 bits), 'x' its exit status (one
 * byte), 'F' the name of a file that the user wants and 'f' its content, 'm' the
 * host itself failed and why, 'q' the host is about to switch off. To
 * here: 'i' input (none: end of input), 'w' size of the terminal (rows and
 * columns, 16 bits each). No more than WINDOW bytes of input are under way
 * at a time, since a serial port has no flow control.
 *
 * Where the emulator has a parallel port, which is faster than a serial port by far,
 * "umbra_printer" on the kernel's command line, which becomes a setting of the
 * environment, says where, and frames from here take it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LINE		"/dev/ttyS1"
#define PRINTER		"umbra_printer"

/* Bits of a parallel port's control register, which is two above the data. */
#define PRINTER_CONTROL	2
#define PRINTER_STROBE	0x01
#define PRINTER_ON	0x0c	/* initialized and selected */
#define COMMAND		"/lib/umbra/command"
#define WINDOW		2048
#define FRAME_MAX	4096
#define MODULE		"umbra"

/* What was received and is not yet consumed. */
struct input {
	uint8_t frame[3 + FRAME_MAX];
	size_t have;
	uint8_t data[WINDOW];
	size_t queued;
	bool ended;
};

static int line;
static unsigned short printer;

static void print(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		outb(data[i], printer);
		outb(PRINTER_ON | PRINTER_STROBE, printer + PRINTER_CONTROL);
		outb(PRINTER_ON, printer + PRINTER_CONTROL);
	}
}

static void write_all(const void *buf, size_t len)
{
	const char *p = buf;

	if (printer) {
		print(buf, len);
		return;
	}
	while (len) {
		ssize_t n = write(line, p, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			p += n;
			len -= n;
		}
	}
}

static void send_frame(char type, const void *data, size_t len)
{
	uint8_t frame[3 + FRAME_MAX];

	frame[0] = type;
	frame[1] = len;
	frame[2] = len >> 8;
	memcpy(frame + 3, data, len);
	write_all(frame, 3 + len);
}

__attribute__((format(printf, 1, 2)))
static void send_failure(const char *format, ...)
{
	char text[FRAME_MAX];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_frame('m', text, len < (int)sizeof(text) ? len : (int)sizeof(text) - 1);
}

static void open_line(void)
{
	const char *port = getenv(PRINTER);
	struct termios raw;

	line = open(LINE, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (line < 0 || tcgetattr(line, &raw)) {
		fprintf(stderr, "agent: %s: %m\n", LINE);
		reboot(RB_POWER_OFF);
	}
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	raw.c_cflag |= CLOCAL | CREAD;
	tcsetattr(line, TCSANOW, &raw);
	if (port) {
		printer = strtoul(port, NULL, 0);
		if (ioperm(printer, PRINTER_CONTROL + 1, 1)) {
			fprintf(stderr, "agent: port %s: %m\n", port);
			reboot(RB_POWER_OFF);
		}
		outb(PRINTER_ON, printer + PRINTER_CONTROL);
	}
}

static void set_size(int terminal, const uint8_t *rows_columns)
{
	struct winsize size = {
		.ws_row = rows_columns[0] | rows_columns[1] << 8,
		.ws_col = rows_columns[2] | rows_columns[3] << 8,
	};

	ioctl(terminal, TIOCSWINSZ, &size);
}

/*
 * The command as the test host's user gave it: a line of "name value" pairs, then
 * so many arguments, settings of the environment and names of files to send when
 * it has ended, each closed by a zero byte.
 */
struct command {
	bool terminal, input;
	char **argv, **envp, **files;
};

static char **take_strings(char **at, size_t n)
{
	char **list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		list[i] = *at;
		*at += strlen(*at) + 1;
	}
	return list;
}

static void read_command(struct command *cmd)
{
	int terminal, input, used = 0;
	size_t args, env, files;
	struct stat st;
	char *text, *at;
	int fd;

	fd = open(COMMAND, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		goto bad;
	text = calloc(1, st.st_size + 1);
	if (read(fd, text, st.st_size) != st.st_size)
		goto bad;
	close(fd);
	if (sscanf(text, "terminal %d input %d args %zu env %zu files %zu\n%n",
		   &terminal, &input, &args, &env, &files, &used) != 5 || !used)
		goto bad;
	at = text + used;
	cmd->terminal = terminal;
	cmd->input = input;
	cmd->argv = take_strings(&at, args);
	cmd->envp = take_strings(&at, env);
	cmd->files = take_strings(&at, files);
	return;
bad:
	send_failure("the host has no command to run: %s: %s", COMMAND, strerror(errno));
	reboot(RB_POWER_OFF);
}

static void exec_command(const struct command *cmd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A process that may access ports costs the kernel more at each return to it. */
	if (printer)
		ioperm(printer, PRINTER_CONTROL + 1, 0);
	environ = cmd->envp;
	execvp(cmd->argv[0], cmd->argv);
	dprintf(2, "%s: %s\n", cmd->argv[0],
		errno == ENOENT ? "no such command on the test host" : strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Start the command: fds[] become its input, output and errors, seen from here. */
static pid_t start(const struct command *cmd, int fds[3])
{
	int in[2] = { -1, -1 }, out[2], err[2];
	pid_t pid;

	if (cmd->terminal) {
		pid = forkpty(&fds[0], NULL, NULL, NULL);
		if (!pid)
			exec_command(cmd);
		fds[1] = fds[0];
		fds[2] = -1;
		return pid;
	}

	if ((cmd->input && pipe2(in, O_CLOEXEC)) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return -1;
	if (!cmd->input)
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid = fork();
	if (!pid) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_command(cmd);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fds[0] = in[1];
	fds[1] = out[0];
	fds[2] = err[0];
	return pid;
}

/* Take whole frames out of what was received. */
static void receive(struct input *input, int terminal)
{
	ssize_t n = read(line, input->frame + input->have, sizeof(input->frame) - input->have);
	size_t len;

	if (n <= 0)
		return;
	input->have += n;
	while (input->have >= 3) {
		len = input->frame[1] | input->frame[2] << 8;
		if (len > FRAME_MAX) {
			input->have = 0;
			return;
		}
		if (input->have < 3 + len)
			return;
		if (input->frame[0] == 'i' && !len) {
			input->ended = true;
		} else if (input->frame[0] == 'i' && len <= WINDOW - input->queued) {
			memcpy(input->data + input->queued, input->frame + 3, len);
			input->queued += len;
		} else if (input->frame[0] == 'w' && len == 4 && terminal >= 0) {
			set_size(terminal, input->frame + 3);
		}
		input->have -= 3 + len;
		memmove(input->frame, input->frame + 3 + len, input->have);
	}
}

/* Hand input to the command; return false once it takes no more. */
static bool feed(struct input *input, int fd)
{
	ssize_t n = write(fd, input->data, input->queued);
	uint8_t count[2];

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	input->queued -= n;
	memmove(input->data, input->data + n, input->queued);
	count[0] = n;
	count[1] = n >> 8;
	send_frame('a', count, sizeof(count));
	return true;
}

/* Pass on what the command wrote; return false at the end of it. */
static bool forward(int fd, char type)
{
	char buf[FRAME_MAX];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		send_frame(type, buf, n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Carry input and output until the command has ended; return its wait status. */
static int serve(const struct command *cmd, pid_t pid, int fds[3], int children)
{
	struct input input = { 0 };
	int status = -1;
	bool ended = false;

	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFL, O_NONBLOCK);

	/* After its end only what it has already written is still waited for. */
	while (!ended || fds[1] >= 0 || fds[2] >= 0) {
		bool writable = !cmd->terminal && fds[0] >= 0 && input.queued;
		short typing = cmd->terminal && input.queued ? POLLOUT : 0;
		struct pollfd polled[5] = {
			{ .fd = line, .events = POLLIN },
			{ .fd = fds[1], .events = POLLIN | typing },
			{ .fd = fds[2], .events = POLLIN },
			{ .fd = writable ? fds[0] : -1, .events = POLLOUT },
			{ .fd = ended ? -1 : children, .events = POLLIN },
		};
		int n = poll(polled, 5, ended ? 0 : -1);

		if (ended && n <= 0)
			break;
		if (polled[0].revents & POLLIN)
			receive(&input, cmd->terminal ? fds[0] : -1);
		if (cmd->terminal && polled[1].revents & POLLOUT)
			feed(&input, fds[1]);
		if (polled[3].revents && !feed(&input, fds[0]))
			close_fd(&fds[0]);
		if (!cmd->terminal && input.ended && !input.queued)
			close_fd(&fds[0]);
		if (polled[1].revents & (POLLIN | POLLHUP | POLLERR) && !forward(fds[1], 'o')) {
			close_fd(&fds[1]);
			if (cmd->terminal)
				fds[0] = -1;
		}
		if (polled[2].revents & (POLLIN | POLLHUP | POLLERR) && !forward(fds[2], 'e'))
			close_fd(&fds[2]);
		if (polled[4].revents & POLLIN) {
			struct signalfd_siginfo info;
			int one;
			pid_t dead;

			if (read(children, &info, sizeof(info)) < 0)
				continue;
			while ((dead = waitpid(-1, &one, WNOHANG)) > 0)
				if (dead == pid) {
					status = one;
					ended = true;
				}
		}
	}
	return status;
}

/* Send the files that the user asked for; one that is not there is left out. */
static void send_files(char **names)
{
	char buf[FRAME_MAX];
	ssize_t n;

	for (; *names; names++) {
		int fd = open(*names, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		send_frame('F', *names, strlen(*names));
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			send_frame('f', buf, n);
		close(fd);
	}
}

/* Name a process that is still there, other than this one and the kernel's. */
static pid_t survivor(char *name, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (proc && !found && (entry = readdir(proc))) {
		char path[64], text[512];
		pid_t pid = atoi(entry->d_name);
		char *close_paren;
		int parent, fd;
		ssize_t n;
		char state;

		if (pid <= 1)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n <= 0)
			continue;
		text[n] = 0;
		close_paren = strrchr(text, ')');
		if (!close_paren || sscanf(close_paren + 1, " %c %d", &state, &parent) != 2)
			continue;
		if (pid == 2 || parent == 2)
			continue;
		snprintf(name, size, "%.*s", (int)(close_paren + 1 - text), text);
		found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

/* Kill what the command left running; all of it must end within ten seconds. */
static void end_processes(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	char name[128];
	int i;

	for (i = 0; i < 500 && survivor(name, sizeof(name)); i++) {
		kill(-1, SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nanosleep(&pause, NULL);
	}
	if (i == 500)
		send_failure("process %s does not die of SIGKILL", name);
}

/* Unload the module: it must be unused by now. */
static void unload(void)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	if (access("/sys/module/" MODULE "/refcnt", F_OK))
		return;
	/* The last close of a file may still be under way in a kernel thread. */
	for (int i = 0; i < 100; i++) {
		if (!syscall(SYS_delete_module, MODULE, O_NONBLOCK))
			return;
		if (errno != EWOULDBLOCK && errno != EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	send_failure(MODULE ".ko does not unload after all processes have ended: %s",
		     strerror(errno));
}

/* On a debug kernel: what was allocated since the start and can be reached no more. */
static void look_for_leaks(void)
{
	const struct timespec age = { .tv_sec = 6 };
	char buf[FRAME_MAX];
	bool found = false;
	ssize_t n;
	int fd;

	fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	/* An object counts only from an age of five seconds. */
	nanosleep(&age, NULL);
	if (write(fd, "scan", 4) == 4) {
		while ((n = read(fd, buf, sizeof(buf))) > 0) {
			send_frame('e', buf, n);
			found = true;
		}
	}
	close(fd);
	if (found)
		send_failure("the host's kernel has lost memory, see above");
}

static void switch_off(void)
{
	end_processes();
	unload();
	look_for_leaks();
	sync();
	send_frame('q', "", 0);
	tcdrain(line);
	reboot(RB_POWER_OFF);
	pause();
}

int main(int argc, char **argv)
{
	struct command cmd;
	int fds[3], children, status;
	sigset_t set;
	uint8_t code;
	pid_t pid;

	open_line();
	if (argc > 2 && !strcmp(argv[1], "--failed")) {
		send_failure("%s", argv[2]);
		switch_off();
	}
	read_command(&cmd);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (chdir("/root"))
		send_failure("/root: %s", strerror(errno));
	pid = start(&cmd, fds);
	if (pid < 0) {
		send_failure("the command does not start: %s", strerror(errno));
		switch_off();
	}
	send_frame('r', "", 0);
	status = serve(&cmd, pid, fds, children);
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	send_frame('x', &code, 1);
	send_files(cmd.files);
	switch_off();
}
