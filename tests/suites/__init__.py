# SPDX-License-Identifier: GPL-2.0-only
"""The parts of "make check", one file each: run(report) does it all."""
