# SPDX-License-Identifier: GPL-2.0-only
"""Emulated hosts on which umbra.ko is loaded and tested."""
