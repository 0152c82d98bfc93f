/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All device arguments, each with all that is said of it: the parser, the defaults, the names that
 * a refusal lists, what dpdk-pmdinfo.py shows and doc/guides/nics/vring_devargs.rst come from here.
 * devtools/reference.py writes that page.
 */
#ifndef VRING_DEVARGS_LIST_H
#define VRING_DEVARGS_LIST_H

#define VRING_IFNAMES "the name of an interface, 1 to 15 bytes without '/', ':' and spaces"

/*
 * ARG(roles, key, parse, field, lo, hi, init, shown, allowed, initial, means)
 *
 * roles: ports on which it has an effect. init: value of the field where the key is not given,
 * which a reader knows as `initial`. shown: its values in a word. allowed: what a message says
 * after "allowed is". means: a sentence.
 */
#define VRING_ARG_NUMBER_OR(ARG, roles, key, field, lo, hi, unit, init, initial, means) \
	ARG(roles, key, parse_number, field, lo, hi, init, "<" #lo "-" #hi ">", \
	    #lo " to " #hi " " unit, initial, means)
#define VRING_ARG_NUMBER(ARG, roles, key, field, lo, hi, unit, init, means) \
	VRING_ARG_NUMBER_OR(ARG, roles, key, field, lo, hi, unit, init, #init, means)
#define VRING_ARG_SWITCH_OR(ARG, roles, key, field, init, initial, means) \
	ARG(roles, key, parse_number, field, 0, 1, init, "<0|1>", "0 or 1", initial, means)
#define VRING_ARG_SWITCH(ARG, roles, key, field, init, means) \
	VRING_ARG_SWITCH_OR(ARG, roles, key, field, init, #init, means)
#define VRING_ARG_TEXT(ARG, roles, key, parse, field, init, shown, allowed, initial, means) \
	ARG(roles, key, parse, field, 0, 0, init, shown, allowed, initial, means)

#define VRING_DEVARGS(ARG) \
	VRING_ARG_TEXT(ARG, BACK | NET, "iface", parse_path, iface, "", "<path>", \
		"the path of a socket, 1 to 107 bytes", "none", \
		"The port is a back-end, and this its socket; with path=/dev/vhost-net the same " \
		"as ifname.") \
	VRING_ARG_TEXT(ARG, FRONT, "path", parse_path, path, "", "<path>", \
		"the path of a socket, of a vhost-vdpa device or of vhost-net, 1 to 107 bytes", \
		"none", "The port is a front-end, and this is what it drives.") \
	VRING_ARG_TEXT(ARG, NET, "ifname", parse_ifname, ifname, "", "<name>", VRING_IFNAMES, \
		"the kernel's choice", "The network interface at the kernel's end.") \
	VRING_ARG_NUMBER(ARG, ALL, "queues", queues, 1, 128, "queue pairs", 1, \
		"Queue pairs that the application may configure at most, or that are used of a " \
		"device.") \
	VRING_ARG_SWITCH(ARG, BACK, "client", client, 0, \
		"1: the front-end listens and the port connects; 0: the port listens.") \
	VRING_ARG_SWITCH(ARG, BACK | SOCKET, "iommu-support", iommu, 0, \
		"1: addresses may be those of an IOMMU, which the back-end asks for.") \
	VRING_ARG_SWITCH(ARG, BACK, "iommu-keep", iommu_keep, 0, \
		"1: small translations are kept as well, until the front-end takes them away.") \
	VRING_ARG_SWITCH(ARG, BACK, "postcopy-support", postcopy, 0, \
		"1: guests may come here by post-copy.") \
	VRING_ARG_SWITCH(ARG, BACK, "tso", tso, 0, \
		"1: the guest may leave TCP segmentation out; not with csum=0.") \
	VRING_ARG_SWITCH(ARG, BACK, "linear-buffer", linear, 1, \
		"1: a received packet is one segment; 0: a chain where the application enables " \
		"scatter.") \
	VRING_ARG_SWITCH(ARG, BACK, "ext-buffer", ext_buf, 1, \
		"1: a packet that no mbuf of the pool holds gets a larger buffer; 0: it is " \
		"dropped.") \
	VRING_ARG_SWITCH_OR(ARG, BACK, "legacy-ol-flags", legacy_ol, VRING_LEGACY_AUTO, \
		"as the application is configured", \
		"1: transmit flags say what a received packet lacks; 0: they never do.") \
	VRING_ARG_SWITCH(ARG, BACK, "sealed-memory", sealed, 0, \
		"1: memory of guests in files that can be cut short is refused.") \
	VRING_ARG_SWITCH(ARG, SOCKET, "server", server, 0, \
		"1: the port listens; 0: the back-end listens and the port connects.") \
	VRING_ARG_NUMBER(ARG, FRONT, "queue_size", queue_size, 2, 32768, "entries", 256, \
		"Entries of each ring, a power of two unless packed_vq=1, or as many as the " \
		"device allows.") \
	VRING_ARG_SWITCH_OR(ARG, VDPA, "cq", cq, VRING_CQ_AUTO, "1", \
		"1: use the control queue of a device that has one.") \
	VRING_ARG_SWITCH(ARG, SOCKET | VDPA, "packed_vq", packed_vq, 0, \
		"1: use packed rings where the device has them.") \
	VRING_ARG_SWITCH_OR(ARG, FRONT, "mrg_rxbuf", mrg_rxbuf, VRING_MRG_AUTO, \
		"as the application is configured", \
		"1: the device may put a packet into several buffers, which come as a chain; 0: " \
		"it may not.") \
	VRING_ARG_SWITCH(ARG, FRONT, "in_order", in_order, 1, \
		"1: agree to buffers being used in the order in which they were offered.") \
	VRING_ARG_SWITCH(ARG, FRONT, "vectorized", vectorized, 0, "Accepted, changes nothing.") \
	VRING_ARG_SWITCH(ARG, SOCKET, "dirty-log", dirty_log, 0, \
		"1: the back-end keeps a dirty log of all that it writes, to test it.") \
	VRING_ARG_SWITCH(ARG, SOCKET, "iommu-pages", iommu_pages, 0, \
		"1: with iommu-support=1 a back-end is told of single pages, to test it.") \
	VRING_ARG_TEXT(ARG, ALL, "mac", parse_mac, mac, {{0}}, "<xx:xx:xx:xx:xx:xx>", \
		"a unicast address such as 02:00:00:00:00:01", "the device's, or random", \
		"Address that the port tells the application, and the device if there is one.") \
	VRING_ARG_NUMBER_OR(ARG, ALL, "mtu", mtu, 68, 65509, "bytes", 0, \
		"the guest's, or 1500", \
		"Initial MTU of the port. The limit of a later one is 9702, or this where it is " \
		"more; the guest's may be up to 65535 with tso=1.") \
	VRING_ARG_TEXT(ARG, ALL, "speed", parse_speed, speed, 10000, "<Mbit/s>", \
		"10, 100, 1000, 2500, 5000, 10000, 20000, 25000, 40000, 50000, 56000, 100000 or " \
		"200000 Mbit/s", "the device's, or 10000", \
		"Speed that the link claims, which limits nothing.") \
	ARG(ALL, "numa", parse_number, numa, 0, RTE_MAX_NUMA_NODES - 1, UINT32_MAX, "<node>", \
		"the number of a NUMA node", "the guest's, or where the process runs", \
		"Node of the port's own memory, and the one that it reports.") \
	ARG(ALL, "ctrl-lcore", parse_number, ctrl_lcore, 0, CPU_SETSIZE - 1, UINT32_MAX, \
		"<cpu>", "the number of a CPU", "any but the lcores", \
		"CPU of the control thread.") \
	VRING_ARG_NUMBER(ARG, BACK, "max-ring", max_ring, 64, 32768, "entries", 32768, \
		"A larger ring is not served.") \
	VRING_ARG_TEXT(ARG, ALL, "csum", parse_csum, csum, VRING_CSUM_COMPLETE, "<0|1|partial>", \
		"0, 1 or partial", "1", \
		"0: the peer may not leave checksums out; 1: the port completes them; partial: " \
		"the application does.") \
	VRING_ARG_SWITCH(ARG, BACK, "packed", packed, 1, "1: offer the packed ring layout.") \
	VRING_ARG_SWITCH(ARG, BACK, "zero-copy", zero_copy, 0, \
		"1: the application gets packets of the guest where they lie in its memory.") \
	VRING_ARG_NUMBER(ARG, BACK, "zero-copy-min", zero_copy_min, 0, 65535, "bytes", 512, \
		"With zero-copy=1 shorter packets are copied.") \
	VRING_ARG_SWITCH(ARG, BACK, "call-thread", call_thread, 0, \
		"1: under load a thread of the port's calls the guest in place of the lcore that " \
		"sends.") \
	VRING_ARG_NUMBER(ARG, BACK, "call-us", call_us, 0, 10000, "microseconds", 0, \
		"Between two calls of a ring there are at least so many microseconds; 0: no such " \
		"wait.") \
	VRING_ARG_NUMBER(ARG, ALL, "tx-retries", tx_retries, 0, 1000, "rounds", 0, \
		"How often a burst tries where a ring is full, before it drops; 0: it returns " \
		"less than it was given.") \
	VRING_ARG_TEXT(ARG, BACK, "tx-steering", parse_steering, tx_steering, \
		VRING_STEERING_THREAD, "<thread|hash>", "thread or hash", "thread", \
		"How packets find their ring of the guest: by the queue that sends them, or by " \
		"their hash; hash not with iommu-support=1 or postcopy-support=1.") \
	VRING_ARG_SWITCH(ARG, BACK, "hash-report", hash_report, 0, \
		"1: offer to tell guests the hash of each packet.") \
	VRING_ARG_NUMBER(ARG, ALL, "reconnect-ms", reconnect_ms, 10, 60000, "milliseconds", 100, \
		"First delay between attempts to connect, or to open the device anew.") \
	VRING_ARG_NUMBER(ARG, ALL, "stall-ms", stall_ms, 0, 3600000, "milliseconds", 1000, \
		"How long a queue stands still until that is told of; 0: it never is.") \
	ARG(BACK | SOCKET, "sock-mode", parse_sock_mode, sock_mode, 1, 0777, 0, "<octal>", \
		"octal permissions, 0001 to 0777", "left to the umask", \
		"Permissions of a socket that the port makes, from the moment it exists.") \
	VRING_ARG_TEXT(ARG, BACK | SOCKET, "sock-group", parse_sock_group, sock_gid, (gid_t)-1, \
		"<name|gid>", "the name or number of a group that exists", \
		"that of the process", "Group of a socket that the port makes.") \
	VRING_ARG_TEXT(ARG, BACK, "state-dir", parse_path, state_dir, "", "<path>", \
		"the path of a folder, 1 to 107 bytes", "that of the socket", \
		"Folder of the state file, by which packed rings go on after a kill.") \
	VRING_ARG_SWITCH(ARG, ALL, "stats", stats, 1, \
		"1: keep counters of packet sizes, multicasts and broadcasts as well.")

#define VRING_ARG_PARAM(roles, key, parse, field, lo, hi, init, shown, ...) key "=" shown " "
/* What RTE_PMD_REGISTER_PARAM_STRING shows; a literal, since it lands in a section. */
#define VRING_PARAM_STRING VRING_DEVARGS(VRING_ARG_PARAM)

#endif /* VRING_DEVARGS_LIST_H */
