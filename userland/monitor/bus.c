// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bus.h"
#include "util/error.h"

/* The widest part of an access that the region and the device take in one go. */
static unsigned int part_size(const struct bus_region *region, uint64_t offset, unsigned int left)
{
	uint64_t size = region->ops->max_size;

	if (size > region->size - offset)
		size = region->size - offset;
	if (size > left)
		size = left;
	return 1U << (31 - __builtin_clz(size));
}

static uint64_t region_read(const struct bus_region *region, uint64_t offset, unsigned int size)
{
	return region->ops->read(region->dev, offset, size) & bus_all_ones(size);
}

static void region_write(const struct bus_region *region, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	region->ops->write(region->dev, offset, size, value & bus_all_ones(size));
}

static const struct bus_region *port_region(const struct port_bus *bus, uint16_t port)
{
	unsigned int at = bus->at[port];

	return at ? &bus->region[at - 1] : NULL;
}

int port_bus_add(struct port_bus *bus, uint16_t base, unsigned int size,
		 const struct io_ops *ops, void *dev)
{
	unsigned int port;

	if (size == 0 || base + size > BUS_PORTS)
		return error_set(EINVAL, "ports %#x to %#x do not exist", base, base + size - 1);
	if (bus->count == BUS_MAX_REGIONS)
		return error_set(ENOSPC, "no room for another device on the port bus");
	for (port = base; port < base + size; port++)
		if (bus->at[port])
			return error_set(EBUSY, "port %#x is taken already", port);
	bus->region[bus->count++] = (struct bus_region){
		.base = base, .size = size, .ops = ops, .dev = dev,
	};
	memset(&bus->at[base], bus->count, size);
	return 0;
}

int mmio_bus_add(struct mmio_bus *bus, uint64_t base, uint64_t size,
		 const struct io_ops *ops, void *dev)
{
	unsigned int i;

	if (size == 0 || base + size < base)
		return error_set(EINVAL, "no addresses at %#" PRIx64, base);
	if (bus->count == BUS_MAX_REGIONS)
		return error_set(ENOSPC, "no room for another device on the MMIO bus");
	for (i = 0; i < bus->count && bus->region[i].base < base; i++)
		;
	if ((i > 0 && base - bus->region[i - 1].base < bus->region[i - 1].size) ||
	    (i < bus->count && bus->region[i].base - base < size))
		return error_set(EBUSY, "address %#" PRIx64 " is taken already", base);
	memmove(&bus->region[i + 1], &bus->region[i],
		(bus->count - i) * sizeof(bus->region[0]));
	bus->region[i] = (struct bus_region){
		.base = base, .size = size, .ops = ops, .dev = dev,
	};
	bus->count++;
	return 0;
}

uint32_t port_bus_read_split(const struct port_bus *bus, uint16_t port, unsigned int size)
{
	const struct bus_region *region;
	unsigned int done, part;
	uint32_t value = 0;

	for (done = 0; done < size; done += part, port += part) {
		region = port_region(bus, port);
		if (!region) {
			part = 1;
			value |= 0xffU << (done * 8);
			continue;
		}
		part = part_size(region, port - region->base, size - done);
		value |= region_read(region, port - region->base, part) << (done * 8);
	}
	return value;
}

void port_bus_write_split(const struct port_bus *bus, uint16_t port, unsigned int size,
			  uint32_t value)
{
	const struct bus_region *region;
	unsigned int done, part;

	for (done = 0; done < size; done += part, port += part) {
		region = port_region(bus, port);
		if (!region) {
			part = 1;
			continue;
		}
		part = part_size(region, port - region->base, size - done);
		region_write(region, port - region->base, part, value >> (done * 8));
	}
}

uint64_t mmio_bus_read_split(const struct mmio_bus *bus, uint64_t gpa, unsigned int size)
{
	unsigned int done, part;
	uint64_t value = 0;

	for (done = 0; done < size; done += part, gpa += part) {
		const struct bus_region *region = mmio_bus_at(bus, gpa);

		if (!region) {
			part = 1;
			value |= 0xffULL << (done * 8);
			continue;
		}
		part = part_size(region, gpa - region->base, size - done);
		value |= region_read(region, gpa - region->base, part) << (done * 8);
	}
	return value;
}

void mmio_bus_write_split(const struct mmio_bus *bus, uint64_t gpa, unsigned int size,
			  uint64_t value)
{
	unsigned int done, part;

	for (done = 0; done < size; done += part, gpa += part) {
		const struct bus_region *region = mmio_bus_at(bus, gpa);

		if (!region) {
			part = 1;
			continue;
		}
		part = part_size(region, gpa - region->base, size - done);
		region_write(region, gpa - region->base, part, value >> (done * 8));
	}
}
