# SPDX-License-Identifier: GPL-2.0-only
# What can be made: "make help".

KVER	?= $(shell uname -r)
KDIR	?= /lib/modules/$(KVER)/build
HOST	?= svm
KERNEL	?= 6.1
PREFIX	?= /usr/local
TIME	?= 600
SEED	?= 0

# For the kernel's own build system, which reads Kbuild and not this file.
KBUILD	= $(MAKE) -C $(KDIR) M=$(CURDIR)

# Without headers there is no module, but still all the rest.
all: $(if $(wildcard $(KDIR)/Makefile),module,no-module) vmctl

help:
	@echo 'make                 umbra.ko for the running kernel (KVER=, KDIR= for another), and vmctl'
	@echo 'make module, vmctl   only one of them'
	@echo 'make demo            boot a Linux guest on an emulated AMD-V host, with nested and with'
	@echo '                     shadow paging (KERNEL=6.1|6.12; HOST=vmx: VT-x, slower;'
	@echo '                     HOST=this: on this machine)'
	@echo 'make bench           measure guests natively, under Umbra and under KVM (HOST=, KERNEL=)'
	@echo 'make bench-record    make the last of these tables the recorded one'
	@echo 'make check           all tests but check-debug, check-vmx, fuzz and coverage'
	@echo 'make check-unit, check-build, check-lint, check-host, check-bench, check-fuzz, check-system'
	@echo '                     a part'
	@echo 'make kunit           tests of the module inside a kernel (KERNEL=6.1|6.12; default: both)'
	@echo 'make check-debug     all system tests on kernels with KASAN, lockdep and the like'
	@echo 'make check-vmx       all system tests on VT-x hosts, with and without EPT, VPIDs and the like'
	@echo 'make fuzz            all fuzzers (TIME= in seconds, of all; FUZZ=abi|guest|decoder|... for one;'
	@echo '                     SEED= as an earlier run printed it)'
	@echo 'make coverage        which lines the tests run, in per cent by file'
	@echo 'make lint            the same as check-lint'
	@echo 'make docs            the documentation as HTML'
	@echo 'make install         umbra.ko, vmctl and manual pages (PREFIX=, DESTDIR=)'
	@echo 'make clean           remove what was built'
	@echo 'make distclean       also remove what was downloaded and cached'

no-module:
	@echo 'umbra.ko is not built: no kernel headers in $(KDIR).' >&2
	@echo 'Install linux-headers-$(KVER), or name others with KVER= or KDIR=.' >&2

$(KDIR)/Makefile: no-module
	@exit 1

module: $(KDIR)/Makefile
	$(KBUILD) modules

vmctl:
	$(MAKE) -C userland

demo:
	@scripts/deps build host
	@tests/host/demo --host $(HOST) --kernel $(KERNEL)

bench:
	@scripts/deps build host
	@tests/bench/run --host $(HOST) --kernel $(KERNEL) --html

bench-record:
	@tests/bench/run --host $(HOST) --record

check:
	@scripts/deps
	@tests/check

check-unit check-build check-lint check-host check-bench check-debug check-fuzz check-system check-vmx:
	@scripts/deps
	@tests/check $(@:check-%=%)

lint: check-lint

fuzz:
	@scripts/deps
	@tests/fuzz/run $(FUZZ) --time $(TIME) --seed $(SEED)

# Both kernels, unless one was asked for.
kunit:
	@scripts/deps build host
	@tests/check kunit $(if $(filter command environment,$(origin KERNEL)),-k 'kunit $(KERNEL) ')

coverage:
	@scripts/deps
	@tests/check coverage

docs:
	@scripts/deps docs
	sphinx-build -q -b html -d .cache/docs/doctrees Documentation .cache/docs/html
	@echo 'HTML is in .cache/docs/html/index.html.'

install: module vmctl
	$(KBUILD) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(if $(DESTDIR),,depmod $(KVER))
	$(MAKE) -C userland install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)

clean:
	[ ! -e $(KDIR)/Makefile ] || $(KBUILD) clean
	$(MAKE) -C userland clean
	$(MAKE) -C tests/bench/kvmrun clean
	$(MAKE) -C tests/unit clean
	$(MAKE) -C tests/fuzz clean
	$(MAKE) -C tests/fuzz/user clean
	$(MAKE) -C tests/guests/bare clean
	$(MAKE) -C tests/guests/nanobench clean

distclean: clean
	rm -rf .cache

.PHONY: all help module no-module vmctl demo bench bench-record check check-unit check-build \
	check-lint check-host check-bench check-debug check-fuzz check-system check-vmx lint kunit fuzz coverage docs \
	install clean distclean
