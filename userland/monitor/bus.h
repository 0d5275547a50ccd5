/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The port bus and the MMIO bus: which device answers at an address. They are
 * filled before the first vCPU runs and read without a lock from then on.
 */
#ifndef UMBRA_MONITOR_BUS_H
#define UMBRA_MONITOR_BUS_H

#include <stdint.h>

#include "devices/device.h"

#define BUS_PORTS	0x10000
#define BUS_MAX_REGIONS	64

struct bus_region {
	uint64_t base;
	uint64_t size;
	const struct io_ops *ops;
	void *dev;
};

struct port_bus {
	/* The region at each port, as its index plus 1; 0 where nothing answers. */
	uint8_t at[BUS_PORTS];
	struct bus_region region[BUS_MAX_REGIONS];
	unsigned int count;
};

struct mmio_bus {
	/* In ascending order. */
	struct bus_region region[BUS_MAX_REGIONS];
	unsigned int count;
};

/* The highest value of @size bytes, 1 to 8. */
static inline uint64_t bus_all_ones(unsigned int size)
{
	return UINT64_MAX >> (64 - 8 * size);
}

/**
 * port_bus_add() - Let a device answer at ports
 * @bus: the bus
 * @base: first port
 * @size: how many
 * @ops: the device's registers
 * @dev: for @ops
 *
 * Return: 0; -EBUSY if a port is taken; -ENOSPC if there are too many
 * regions; -EINVAL if the ports do not exist.
 */
int port_bus_add(struct port_bus *bus, uint16_t base, unsigned int size,
		 const struct io_ops *ops, void *dev);

/** mmio_bus_add() - Let a device answer at addresses; returns as port_bus_add() */
int mmio_bus_add(struct mmio_bus *bus, uint64_t base, uint64_t size,
		 const struct io_ops *ops, void *dev);

/* Accesses that are not one register of one device. */
uint32_t port_bus_read_split(const struct port_bus *bus, uint16_t port, unsigned int size);
void port_bus_write_split(const struct port_bus *bus, uint16_t port, unsigned int size,
			  uint32_t value);

/* The region that takes an access in one go; NULL if there is none. */
static inline const struct bus_region *port_bus_whole(const struct port_bus *bus, uint16_t port,
						      unsigned int size)
{
	unsigned int at = bus->at[port];
	const struct bus_region *region;

	if (!at)
		return NULL;
	region = &bus->region[at - 1];
	/* A byte is never too much. */
	if (size > 1 &&
	    (size > region->ops->max_size || port + size > region->base + region->size))
		return NULL;
	return region;
}

/**
 * port_bus_read() - Read a port
 * @bus: the bus
 * @port: the port
 * @size: 1, 2 or 4
 *
 * Return: the value, in the lowest @size bytes; what is above them is not
 * defined. All ones from ports where nothing answers.
 */
static inline uint32_t port_bus_read(const struct port_bus *bus, uint16_t port, unsigned int size)
{
	const struct bus_region *region = port_bus_whole(bus, port, size);

	if (!region)
		return port_bus_read_split(bus, port, size);
	return region->ops->read(region->dev, port - region->base, size);
}

/**
 * port_bus_write() - Write a port
 * @bus: the bus
 * @port: the port
 * @size: 1, 2 or 4
 * @value: has no more than @size bytes
 *
 * What nobody answers to is lost.
 */
static inline void port_bus_write(const struct port_bus *bus, uint16_t port, unsigned int size,
				  uint32_t value)
{
	const struct bus_region *region = port_bus_whole(bus, port, size);

	if (region)
		region->ops->write(region->dev, port - region->base, size, value);
	else
		port_bus_write_split(bus, port, size, value);
}

/* Accesses that are not one register of one device. */
uint64_t mmio_bus_read_split(const struct mmio_bus *bus, uint64_t gpa, unsigned int size);
void mmio_bus_write_split(const struct mmio_bus *bus, uint64_t gpa, unsigned int size,
			  uint64_t value);

/* The region at an address; NULL where nothing answers. */
static inline const struct bus_region *mmio_bus_at(const struct mmio_bus *bus, uint64_t gpa)
{
	unsigned int low = 0, high = bus->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct bus_region *region = &bus->region[middle];

		if (gpa < region->base)
			high = middle;
		else if (gpa - region->base >= region->size)
			low = middle + 1;
		else
			return region;
	}
	return NULL;
}

/* The region that takes an access in one go; NULL if there is none. */
static inline const struct bus_region *mmio_bus_whole(const struct mmio_bus *bus, uint64_t gpa,
						      unsigned int size)
{
	const struct bus_region *region = mmio_bus_at(bus, gpa);

	if (!region || size > region->ops->max_size || (size & (size - 1)) ||
	    size > region->size - (gpa - region->base))
		return NULL;
	return region;
}

/**
 * mmio_bus_read() - Read memory that is no memory
 * @bus: the bus
 * @gpa: the address
 * @size: 1 to 8
 *
 * Return: the value, in the lowest @size bytes; what is above them is not
 * defined. All ones from addresses where nothing answers.
 */
static inline uint64_t mmio_bus_read(const struct mmio_bus *bus, uint64_t gpa, unsigned int size)
{
	const struct bus_region *region = mmio_bus_whole(bus, gpa, size);

	if (!region)
		return mmio_bus_read_split(bus, gpa, size);
	return region->ops->read(region->dev, gpa - region->base, size);
}

/**
 * mmio_bus_write() - Write memory that is no memory
 * @bus: the bus
 * @gpa: the address
 * @size: 1 to 8
 * @value: what is above its lowest @size bytes does not count
 *
 * What nobody answers to is lost.
 */
static inline void mmio_bus_write(const struct mmio_bus *bus, uint64_t gpa, unsigned int size,
				  uint64_t value)
{
	const struct bus_region *region = mmio_bus_whole(bus, gpa, size);

	if (region)
		region->ops->write(region->dev, gpa - region->base, size,
				   value & bus_all_ones(size));
	else
		mmio_bus_write_split(bus, gpa, size, value);
}

#endif
