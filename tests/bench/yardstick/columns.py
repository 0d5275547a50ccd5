# SPDX-License-Identifier: GPL-2.0-only
"""The columns of the table: what a guest runs on."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Column:
    """A hypervisor in one paging mode, or none."""

    name: str
    hypervisor: str = ""
    paging: str = ""

    @property
    def title(self):
        """Its name for people, as short as it goes."""
        if not self.hypervisor:
            return self.name
        return f"{'KVM' if self.hypervisor == 'kvm' else 'Umbra'} {self.paging}"


NATIVE = Column("native")
ALL = {column.name: column for column in (
    NATIVE,
    Column("umbra-nested", "umbra", "nested"),
    Column("umbra-shadow", "umbra", "shadow"),
    Column("kvm-nested", "kvm", "nested"),
    Column("kvm-shadow", "kvm", "shadow"))}
UMBRA = tuple(name for name, column in ALL.items() if column.hypervisor == "umbra")

# What is divided by what: (title, measured, yardstick).
RATIOS = tuple((mode, f"umbra-{mode}", f"kvm-{mode}") for mode in ("nested", "shadow"))
