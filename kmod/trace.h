/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM umbra

#if !defined(UMBRA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UMBRA_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(umbra_entry,
	    TP_PROTO(u32 vcpu, u64 rip),
	    TP_ARGS(vcpu, rip),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u64, rip)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->rip = rip;),
	    TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

TRACE_EVENT(umbra_exit,
	    TP_PROTO(u32 vcpu, const char *name, u32 reason, u64 rip, u64 info1, u64 info2),
	    TP_ARGS(vcpu, name, reason, rip, info1, info2),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u32, reason)
			     __field(u64, rip)
			     __field(u64, info1)
			     __field(u64, info2)
			     __array(char, name, 16)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->reason = reason;
			   __entry->rip = rip;
			   __entry->info1 = info1;
			   __entry->info2 = info2;
			   strscpy(__entry->name, name, sizeof(__entry->name));),
	    TP_printk("vcpu %u %s (%u) rip 0x%llx info 0x%llx 0x%llx", __entry->vcpu,
		      __entry->name, __entry->reason, __entry->rip, __entry->info1,
		      __entry->info2)
);

TRACE_EVENT(umbra_page_fault,
	    TP_PROTO(u32 vcpu, u64 rip, u64 address, u32 error_code),
	    TP_ARGS(vcpu, rip, address, error_code),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u32, error_code)
			     __field(u64, rip)
			     __field(u64, address)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->error_code = error_code;
			   __entry->rip = rip;
			   __entry->address = address;),
	    TP_printk("vcpu %u rip 0x%llx address 0x%llx error 0x%x", __entry->vcpu,
		      __entry->rip, __entry->address, __entry->error_code)
);

TRACE_EVENT(umbra_inject,
	    TP_PROTO(u32 vcpu, int kind, u8 vector, bool has_error, u32 error),
	    TP_ARGS(vcpu, kind, vector, has_error, error),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(int, kind)
			     __field(u8, vector)
			     __field(bool, has_error)
			     __field(u32, error)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->kind = kind;
			   __entry->vector = vector;
			   __entry->has_error = has_error;
			   __entry->error = error;),
	    TP_printk("vcpu %u %s vector %u error %s0x%x", __entry->vcpu,
		      __print_symbolic(__entry->kind, { 0, "exception" }, { 1, "interrupt" },
				       { 2, "nmi" }), __entry->vector,
		      __entry->has_error ? "" : "none ", __entry->error)
);

#endif /* UMBRA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
