#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# On a test host: abi.sh ABIFUZZ-ARGUMENTS. Have swap and huge pages, so that there is
# more that can happen to memory.
set -eu

T=/tmp
# shellcheck source=../system/lib.sh
. ./lib.sh
swap_on
echo 8 >/proc/sys/vm/nr_hugepages
exec ./abifuzz "$@"
