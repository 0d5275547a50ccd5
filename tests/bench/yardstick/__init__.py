# SPDX-License-Identifier: GPL-2.0-only
"""The ruler: guests measured natively, under Umbra and under KVM, in one table."""
