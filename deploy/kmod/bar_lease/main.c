// SPDX-License-Identifier: GPL-2.0
/*
 * bar_lease: leases on ranges of a PCI function's BARs, mappable and revocable.
 *
 * The module imports vfio-pci's DMABUF of a range and exports one of its own,
 * which processes can map and which REVOKE takes back from all of them. See
 * README.md for lifetimes, lock order and why no access survives a revoke.
 */
#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "internal.h"

/*
 * A revoke visits each VMA of a lease while it holds up its caller, so their
 * number bounds what one client can cost. Far more than honest use needs, far
 * less than a process may have (65,530).
 */
unsigned int bar_max_mappings = 1024;
/* A suspend visits those of all leases of a device: so does what one holder has. */
unsigned int bar_max_holder_mappings = 4096;
unsigned int bar_revoke_timeout_ms = 1000;
/* Kbuild says for which kernels. */
bool bar_huge_entries = BAR_HUGE_ENTRIES;

/*
 * Live ones and those that are revoked, but not freed because somebody has their
 * file, at some kilobytes each. The broker knows nothing of the latter.
 */
unsigned int bar_max_holder_leases = 16384;

static int bar_set_max_mappings(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, 65536);
}

static int bar_set_max_holder_mappings(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, 1048576);
}

static int bar_set_max_holder_leases(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, 1048576);
}

static int bar_set_revoke_timeout(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 10, 60000);
}

static const struct kernel_param_ops bar_max_mappings_ops = {
	.set = bar_set_max_mappings,
	.get = param_get_uint,
};

static const struct kernel_param_ops bar_max_holder_mappings_ops = {
	.set = bar_set_max_holder_mappings,
	.get = param_get_uint,
};

static const struct kernel_param_ops bar_max_holder_leases_ops = {
	.set = bar_set_max_holder_leases,
	.get = param_get_uint,
};

static const struct kernel_param_ops bar_revoke_timeout_ops = {
	.set = bar_set_revoke_timeout,
	.get = param_get_uint,
};

module_param_cb(max_mappings, &bar_max_mappings_ops, &bar_max_mappings, 0444);
MODULE_PARM_DESC(max_mappings, "mappings that one lease may have, 1 to 65536 (1024)");
__MODULE_PARM_TYPE(max_mappings, "uint");

module_param_cb(max_holder_mappings, &bar_max_holder_mappings_ops, &bar_max_holder_mappings, 0444);
MODULE_PARM_DESC(max_holder_mappings,
		 "mappings that one holder's leases of one device may have, 1 to 1048576 (4096)");
__MODULE_PARM_TYPE(max_holder_mappings, "uint");

module_param_cb(max_holder_leases, &bar_max_holder_leases_ops, &bar_max_holder_leases, 0444);
MODULE_PARM_DESC(max_holder_leases,
		 "leases of one device that one holder may have, 1 to 1048576 (16384)");
__MODULE_PARM_TYPE(max_holder_leases, "uint");

module_param_cb(revoke_timeout_ms, &bar_revoke_timeout_ops, &bar_revoke_timeout_ms, 0444);
MODULE_PARM_DESC(revoke_timeout_ms,
		 "how long a REVOKE waits for what is under way, 10 to 60000 milliseconds (1000)");
__MODULE_PARM_TYPE(revoke_timeout_ms, "uint");

module_param_named(huge_entries, bar_huge_entries, bool, 0444);
MODULE_PARM_DESC(huge_entries, "map 2 MiB at once where possible (Y since Linux 7.3)");

static int bar_lease_open(struct inode *inode, struct file *file)
{
	struct bar_session *session = bar_session_create();

	if (IS_ERR(session))
		return PTR_ERR(session);

	/* The file owns the session from here on. */
	file->private_data = session;
	return nonseekable_open(inode, file);
}

static int bar_lease_close(struct inode *inode, struct file *file)
{
	bar_session_close(file->private_data);
	return 0;
}

static long bar_lease_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bar_session *session = file->private_data;
	void __user *request = (void __user *)arg;

	/*
	 * The size in the number is the caller's idea of the struct; argsz says
	 * it as well and is what counts. Leaving it out here lets a program
	 * that was built with a later, larger struct call this version.
	 */
	switch (cmd & ~IOCSIZE_MASK) {
	case BAR_LEASE_GET_INFO & ~IOCSIZE_MASK:
		return bar_session_get_info(session, request);
	case BAR_LEASE_EXPORT & ~IOCSIZE_MASK:
		return bar_session_export(session, request);
	case BAR_LEASE_REVOKE & ~IOCSIZE_MASK:
		return bar_session_revoke(session, request);
	case BAR_LEASE_LIST & ~IOCSIZE_MASK:
		return bar_session_list(session, request);
	case BAR_LEASE_GET_FD & ~IOCSIZE_MASK:
		return bar_session_get_fd(session, request);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations bar_lease_fops = {
	.owner = THIS_MODULE,
	.open = bar_lease_open,
	.release = bar_lease_close,
	.unlocked_ioctl = bar_lease_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice bar_lease_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bar_lease",
	.fops = &bar_lease_fops,
	.mode = 0600,
};

static int __init bar_lease_init(void)
{
	int ret;

	/* Lease ids need all of an unsigned long. */
	BUILD_BUG_ON(sizeof(unsigned long) < sizeof(u64));

	ret = bar_device_init();
	if (ret)
		return ret;

	ret = bar_p2p_init();
	if (ret)
		goto err_device;

	ret = bar_outer_init();
	if (ret)
		goto err_p2p;

	ret = bar_unmap_init();
	if (ret)
		goto err_outer;

	ret = misc_register(&bar_lease_misc);
	if (ret)
		goto err_unmap;

	return 0;

err_unmap:
	bar_unmap_exit();
err_outer:
	bar_outer_exit();
err_p2p:
	bar_p2p_exit();
err_device:
	bar_device_exit();
	return ret;
}

static void __exit bar_lease_exit(void)
{
	misc_deregister(&bar_lease_misc);
	/* In this order each finishes what the one before may still have asked for. */
	bar_unmap_exit();
	bar_outer_exit();
	bar_p2p_exit();
	bar_device_exit();
}

module_init(bar_lease_init);
module_exit(bar_lease_exit);

MODULE_DESCRIPTION("Revocable leases on ranges of PCI BARs");
MODULE_AUTHOR("BAR Broker contributors");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
