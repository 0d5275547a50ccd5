/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small encoder of ACPI machine language (ACPI specification 6.4, chapter
 * 20), as far as the DSDT of acpi.c needs it. Scopes, devices and the like are
 * opened and closed; what is written in between is inside.
 */
#ifndef UMBRA_BOOT_AML_H
#define UMBRA_BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH	8

/**
 * struct aml - Where AML is written
 * @at: the buffer
 * @size: its size
 * @used: bytes written
 * @overflow: something did not fit
 *
 * The rest belongs to the encoder.
 */
struct aml {
	uint8_t *at;
	size_t size, used;
	bool overflow;
	/* private: */
	size_t open[AML_DEPTH];
	unsigned int depth;
};

/** aml_init() - Begin to write at @at */
void aml_init(struct aml *aml, void *at, size_t size);

/** aml_scope() - Open Scope (@path), to be closed by aml_close() */
void aml_scope(struct aml *aml, const char *path);

/** aml_device() - Open Device (@name), to be closed by aml_close() */
void aml_device(struct aml *aml, const char *name);

/** aml_close() - Close what was opened last */
void aml_close(struct aml *aml);

/** aml_name_integer() - Name (@name, @value) */
void aml_name_integer(struct aml *aml, const char *name, uint32_t value);

/** aml_name_eisa() - Name (@name, EisaId (@id)), as in "PNP0501" */
void aml_name_eisa(struct aml *aml, const char *name, const char *id);

/** aml_name_package() - Name (@name, Package () {@value...}) of @count integers */
void aml_name_package(struct aml *aml, const char *name, const uint32_t *value,
		      unsigned int count);

/** aml_name_resources() - Open Name (@name, ResourceTemplate ()); aml_resources_end() closes it */
void aml_name_resources(struct aml *aml, const char *name);

/** aml_resources_end() - Write the end tag and close */
void aml_resources_end(struct aml *aml);

/** aml_io() - IO (Decode16, @base, @base, 1, @count) */
void aml_io(struct aml *aml, uint16_t base, uint8_t count);

/** aml_irq() - IRQNoFlags () {@irq} */
void aml_irq(struct aml *aml, unsigned int irq);

/** aml_bus_numbers() - WordBusNumber () of @first to @last, which a bridge passes on */
void aml_bus_numbers(struct aml *aml, uint16_t first, uint16_t last);

/** aml_io_window() - WordIO () of @first to @last, which a bridge passes on */
void aml_io_window(struct aml *aml, uint16_t first, uint16_t last);

/** aml_memory_window() - DWordMemory () of @first to @last, which a bridge passes on */
void aml_memory_window(struct aml *aml, uint32_t first, uint32_t last);

#endif
