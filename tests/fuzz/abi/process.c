// SPDX-License-Identifier: GPL-2.0-only
/* Descriptors and processes: what refers to a VM, and when that ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

static void put_fd(struct object *o, int fd)
{
	fd = atomic_exchange(&o->fd, fd);
	if (fd >= 0)
		close(fd);
}

static void new_vm(void)
{
	struct umbra_create_vm create = { .paging = below(2) };
	struct umbra_memory memory = {
		.flags = one_in(3) ? UMBRA_MEM_LOG_DIRTY : 0,
		.size = ARENA_SIZE,
		.uaddr = (uintptr_t)ARENA(0),
	};
	int fd;

	if (one_in(32))
		((uint8_t *)&create)[below(sizeof(create))] = random64();
	fd = try_call(dev, UMBRA_CREATE_VM, &create);
	if (fd < 0)
		return;
	try_call(fd, UMBRA_SET_MEMORY, &memory);
	put_fd(&vms[below(VMS)], fd);
}

static void new_vcpu(void)
{
	struct umbra_create_vcpu create = { .id = one_in(16) ? random64() :
							       below(one_in(4) ? 70 : 3) };
	struct object *o = &vcpus[below(VCPUS)];
	void *run;
	int fd;

	if (one_in(64))
		create.flags = random64();
	fd = try_call(vms[below(VMS)].fd, UMBRA_CREATE_VCPU, &create);
	if (fd < 0)
		return;
	run = mmap(NULL, UMBRA_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	put_fd(o, fd);
	/* The old one stays mapped for those who are still looking at it. */
	if (run != MAP_FAILED)
		atomic_store(&o->run, run);
}

void replace_object(void)
{
	switch (below(16)) {
	case 0 ... 3:
		new_vm();
		break;
	case 4:
		put_fd(one_in(2) ? &vms[below(VMS)] : &vcpus[below(VCPUS)], -1);
		break;
	default:
		new_vcpu();
	}
}

static struct object *some_object(void)
{
	return one_in(3) ? &vms[below(VMS)] : &vcpus[below(VCPUS)];
}

void descriptor_tricks(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct object *o = some_object();
	int fd = o->fd, other;
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };
	uint8_t bytes[64];
	uint8_t *p;

	switch (below(10)) {
	case 0:
		other = dup(fd);
		put_fd(o, other);
		break;
	case 1:
		dup2(fd, one_in(2) ? vcpus[below(VCPUS)].fd : fd);
		break;
	case 2:
		poll(&pfd, 1, 0);
		other = epoll_create1(0);
		epoll_ctl(other, EPOLL_CTL_ADD, fd, &event);
		epoll_wait(other, &event, 1, 0);
		close(other);
		break;
	case 3:
		p = mmap(NULL, PAGE * (1 + below(3)), below(8),
			 one_in(2) ? MAP_SHARED : MAP_PRIVATE, fd,
			 one_in(4) ? some_value() & ~(PAGE - 1) : below(3) * PAGE);
		if (p == MAP_FAILED)
			break;
		TRY(*(volatile uint8_t *)p);
		TRY(p[8] = 1);
		mremap(p, PAGE, PAGE * (1 + below(4)), MREMAP_MAYMOVE);
		break;
	case 4:
		if (read(fd, bytes, sizeof(bytes)) > 0 || write(fd, bytes, sizeof(bytes)) > 0)
			complain("read() or write() moved bytes");
		break;
	case 5:
		lseek(fd, some_value(), SEEK_SET);
		fsync(fd);
		(void)!ftruncate(fd, some_value());
		fallocate(fd, 0, 0, PAGE);
		posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
		break;
	case 6:
		fcntl(fd, F_SETFL, one_in(2) ? O_NONBLOCK : 0);
		fcntl(fd, F_SETOWN, getpid());
		fcntl(fd, F_SETLK, &(struct flock) { .l_type = F_WRLCK });
		break;
	case 7:
		/* By its name in /proc, and the device once more. */
		snprintf((char *)bytes, sizeof(bytes), "/proc/self/fd/%d", fd);
		other = open((char *)bytes, O_RDWR);
		if (other >= 0)
			close(other);
		other = open(UMBRA_DEVICE, O_RDWR | O_CLOEXEC);
		if (other >= 0)
			close(other);
		break;
	case 8:
		if (one_in(8)) {
			struct rlimit limit, low = { .rlim_cur = below(32), .rlim_max = 1024 };

			/* No descriptor is left for what the call makes. */
			getrlimit(RLIMIT_NOFILE, &limit);
			low.rlim_max = limit.rlim_max;
			setrlimit(RLIMIT_NOFILE, &low);
			new_vm();
			new_vcpu();
			setrlimit(RLIMIT_NOFILE, &limit);
		}
		break;
	default:
		snprintf((char *)bytes, sizeof(bytes), "/proc/self/fdinfo/%d", fd);
		other = open((char *)bytes, O_RDONLY);
		(void)!read(other, bytes, sizeof(bytes));
		close(other);
	}
}

void fork_some(void)
{
	pid_t pid = fork();

	if (!pid) {
		/* The only thread here: what others did to the heap does not matter. */
		alarm(20);
		foreign_calls();
		if (one_in(2))
			usleep(below(30000));
		scribble();
		if (one_in(2))
			close_everything();
		_exit(broken);
	}
	if (pid < 0)
		return;
	if (one_in(3))
		kill(pid, SIGKILL);
	/* Or not, and then init, or the next who waits, finds it. */
	if (one_in(2))
		waitpid(pid, NULL, 0);
	else
		waitpid(-1, NULL, WNOHANG);
}

static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = {
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)),
	} };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void pass_descriptors(void)
{
	int pair[2];

	if (one_in(4)) {
		send_fd(to_parent, some_object()->fd);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	/* Nobody takes it from the socket, which, a second time, holds itself. */
	send_fd(pair[0], some_object()->fd);
	if (one_in(2))
		send_fd(pair[0], pair[1]);
	close(pair[0]);
	close(pair[1]);
}

void close_everything(void)
{
	unsigned int i;

	for (i = 0; i < VMS; i++)
		put_fd(&vms[i], -1);
	for (i = 0; i < VCPUS; i++)
		put_fd(&vcpus[i], -1);
	for (i = 0; i < FILES; i++)
		put_fd(&files[i], -1);
}
