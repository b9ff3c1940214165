// SPDX-License-Identifier: GPL-2.0
/*
 * A test's aid: a driver that imports DMABUFs for another device, as those of
 * network cards and GPUs do, and lets go of them promptly, slowly or not at all.
 * It also makes fences, which kernels let few programs do.
 */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "importer.h"

/* A test that dies must not leave threads behind that wait for ever. */
#define IMPORTER_PATIENCE (60 * HZ)

/**
 * struct importer - an open of /dev/bar_importer
 * @lock: one ioctl at a time; outside the reservation
 * @dmabuf: what it is attached to, a reference, or NULL
 * @attach: the attachment
 * @pdev: the function it acts for, a reference
 * @mode: IMPORTER_PROMPT and so on
 * @delay: before it unmaps, in jiffies
 * @sgt: the mapping, or NULL; changes under the reservation
 * @unmap_work: ends it
 * @address: of the mapping that was last made
 * @length: of it
 * @invalidations: calls of the attachment's invalidate_mappings
 * @unmaps: ends of mappings
 * @fence: not signalled, a reference, or NULL
 * @signal_work: signals it, if nobody else does
 */
struct importer {
	struct mutex lock; /* ioctls */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct pci_dev *pdev;
	u32 mode;
	unsigned long delay;
	struct sg_table *sgt;
	struct delayed_work unmap_work;
	u64 address;
	u64 length;
	u32 invalidations;
	u32 unmaps;
	struct dma_fence *fence;
	struct delayed_work signal_work;
};

/**
 * struct importer_fence - a fence that holds the module, whose code it needs
 * @base: the fence
 * @lock: its lock
 */
struct importer_fence {
	struct dma_fence base;
	spinlock_t lock; /* the fence's */
};

static const char *importer_fence_name(struct dma_fence *fence)
{
	return "bar_importer";
}

static void importer_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops importer_fence_ops = {
	.get_driver_name = importer_fence_name,
	.get_timeline_name = importer_fence_name,
	.release = importer_fence_release,
};

static bool importer_unmap_locked(struct importer *importer)
{
	struct sg_table *sgt = importer->sgt;

	dma_resv_assert_held(importer->dmabuf->resv);

	if (!sgt)
		return false;
	/* First, because whoever waits for the unmapping goes on within the call, and may ask. */
	WRITE_ONCE(importer->sgt, NULL);
	WRITE_ONCE(importer->unmaps, importer->unmaps + 1);
	dma_buf_unmap_attachment(importer->attach, sgt, DMA_BIDIRECTIONAL);
	return true;
}

static void importer_unmap_work(struct work_struct *work)
{
	struct importer *importer =
		container_of(to_delayed_work(work), struct importer, unmap_work);

	dma_resv_lock(importer->dmabuf->resv, NULL);
	importer_unmap_locked(importer);
	dma_resv_unlock(importer->dmabuf->resv);
}

static void importer_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct importer *importer = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	WRITE_ONCE(importer->invalidations, importer->invalidations + 1);
	if (importer->mode == IMPORTER_PROMPT)
		importer_unmap_locked(importer);
	else
		schedule_delayed_work(&importer->unmap_work, importer->delay);
}

static const struct dma_buf_attach_ops importer_attach_ops[] = {
	[IMPORTER_DYNAMIC] = {
		.allow_peer2peer = true,
		.invalidate_mappings = importer_invalidate_mappings,
	},
	[IMPORTER_WITHOUT_PEER2PEER] = {
		.invalidate_mappings = importer_invalidate_mappings,
	},
	[IMPORTER_WITHOUT_INVALIDATE] = {
		.allow_peer2peer = true,
	},
};

static struct dma_buf_attachment *importer_attach_as(struct importer *importer, u32 kind)
{
	struct device *dev = &importer->pdev->dev;

	if (kind == IMPORTER_STATIC)
		return dma_buf_attach(importer->dmabuf, dev);
	return dma_buf_dynamic_attach(importer->dmabuf, dev, &importer_attach_ops[kind], importer);
}

static long importer_attach(struct importer *importer, void __user *arg)
{
	struct importer_attach request;
	struct dma_buf_attachment *attach;
	int ret;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.kind > IMPORTER_STATIC || request.mode > IMPORTER_STUCK)
		return -EINVAL;
	if (importer->dmabuf)
		return -EBUSY;

	importer->mode = request.mode;
	importer->delay = msecs_to_jiffies(request.delay_ms);
	if (request.mode == IMPORTER_STUCK && !request.delay_ms)
		importer->delay = IMPORTER_PATIENCE;
	importer->pdev =
		pci_get_domain_bus_and_slot(request.pci_domain, request.pci_bus, request.pci_devfn);
	if (!importer->pdev)
		return -ENXIO;
	if (request.dma_bits) {
		ret = dma_set_mask_and_coherent(&importer->pdev->dev,
						DMA_BIT_MASK(request.dma_bits));
		if (ret)
			goto err_put_pdev;
	}

	importer->dmabuf = dma_buf_get(request.fd);
	if (IS_ERR(importer->dmabuf)) {
		ret = PTR_ERR(importer->dmabuf);
		goto err_put_pdev;
	}
	attach = importer_attach_as(importer, request.kind);
	if (IS_ERR(attach)) {
		ret = PTR_ERR(attach);
		goto err_put_dmabuf;
	}
	importer->attach = attach;
	return 0;

err_put_dmabuf:
	dma_buf_put(importer->dmabuf);
err_put_pdev:
	importer->dmabuf = NULL;
	pci_dev_put(importer->pdev);
	return ret;
}

/* Segments have to follow each other, so that one address describes them. */
static int importer_describe(struct importer *importer, struct sg_table *sgt)
{
	struct scatterlist *sg;
	u64 length = 0;
	int i;

	importer->address = sg_dma_address(sgt->sgl);
	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (sg_dma_address(sg) != importer->address + length)
			return -ERANGE;
		length += sg_dma_len(sg);
	}
	importer->length = length;
	return 0;
}

static long importer_map(struct importer *importer)
{
	struct sg_table *sgt;
	int ret;

	if (!importer->dmabuf)
		return -ENOTCONN;
	ret = dma_resv_lock_interruptible(importer->dmabuf->resv, NULL);
	if (ret)
		return ret;

	if (importer->sgt) {
		ret = -EBUSY;
		goto out_unlock;
	}
	sgt = dma_buf_map_attachment(importer->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
		goto out_unlock;
	}
	ret = importer_describe(importer, sgt);
	if (ret)
		dma_buf_unmap_attachment(importer->attach, sgt, DMA_BIDIRECTIONAL);
	else
		WRITE_ONCE(importer->sgt, sgt);
out_unlock:
	dma_resv_unlock(importer->dmabuf->resv);
	return ret;
}

static long importer_unmap(struct importer *importer)
{
	bool unmapped;
	int ret;

	if (!importer->dmabuf)
		return -ENOTCONN;
	ret = dma_resv_lock_interruptible(importer->dmabuf->resv, NULL);
	if (ret)
		return ret;
	unmapped = importer_unmap_locked(importer);
	dma_resv_unlock(importer->dmabuf->resv);
	return unmapped ? 0 : -ENODATA;
}

/* Without the reservation, which may be held for long: that is what a test looks at. */
static long importer_get_state(struct importer *importer, void __user *arg)
{
	struct importer_state state = {
		.address = importer->address,
		.length = importer->length,
		.mapped = READ_ONCE(importer->sgt) ? 1 : 0,
		.invalidations = READ_ONCE(importer->invalidations),
		.unmaps = READ_ONCE(importer->unmaps),
	};

	return copy_to_user(arg, &state, sizeof(state)) ? -EFAULT : 0;
}

static void importer_signal(struct importer *importer)
{
	struct dma_fence *fence = xchg(&importer->fence, NULL);

	if (!fence)
		return;
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

static void importer_signal_work(struct work_struct *work)
{
	struct importer *importer =
		container_of(to_delayed_work(work), struct importer, signal_work);

	importer_signal(importer);
}

static long importer_make_fence(struct importer *importer)
{
	struct importer_fence *fence;
	struct sync_file *sync;
	int fd;

	if (importer->fence)
		return -EBUSY;
	fence = kzalloc_obj(*fence);
	if (!fence)
		return -ENOMEM;
	spin_lock_init(&fence->lock);
	/* The caller's descriptor holds it already. */
	__module_get(THIS_MODULE);
	dma_fence_init(&fence->base, &importer_fence_ops, &fence->lock, dma_fence_context_alloc(1),
		       1);

	sync = sync_file_create(&fence->base);
	if (!sync) {
		dma_fence_put(&fence->base);
		return -ENOMEM;
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		fput(sync->file);
		dma_fence_put(&fence->base);
		return fd;
	}
	importer->fence = &fence->base;
	schedule_delayed_work(&importer->signal_work, IMPORTER_PATIENCE);
	fd_install(fd, sync->file);
	return fd;
}

static long importer_ioctl_locked(struct importer *importer, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case IMPORTER_ATTACH:
		return importer_attach(importer, arg);
	case IMPORTER_MAP:
		return importer_map(importer);
	case IMPORTER_UNMAP:
		return importer_unmap(importer);
	case IMPORTER_STATE:
		return importer_get_state(importer, arg);
	case IMPORTER_FENCE:
		return importer_make_fence(importer);
	case IMPORTER_SIGNAL:
		importer_signal(importer);
		return 0;
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct importer *importer = file->private_data;
	long ret;

	mutex_lock(&importer->lock);
	ret = importer_ioctl_locked(importer, cmd, (void __user *)arg);
	mutex_unlock(&importer->lock);
	return ret;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc_obj(*importer);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	INIT_DELAYED_WORK(&importer->unmap_work, importer_unmap_work);
	INIT_DELAYED_WORK(&importer->signal_work, importer_signal_work);
	file->private_data = importer;
	return 0;
}

static void importer_stop(struct importer *importer)
{
	importer_signal(importer);
	if (!importer->dmabuf)
		return;
	dma_resv_lock(importer->dmabuf->resv, NULL);
	importer_unmap_locked(importer);
	dma_resv_unlock(importer->dmabuf->resv);
}

/*
 * A process that ends closes its descriptors in order, and VFIO's and a lease's
 * may have to wait for this one.
 */
static int importer_flush(struct file *file, fl_owner_t id)
{
	if (current->flags & PF_EXITING)
		importer_stop(file->private_data);
	return 0;
}

static int importer_close(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;

	importer_stop(importer);
	cancel_delayed_work_sync(&importer->signal_work);
	if (importer->dmabuf) {
		dma_buf_detach(importer->dmabuf, importer->attach);
		cancel_delayed_work_sync(&importer->unmap_work);
		dma_buf_put(importer->dmabuf);
		pci_dev_put(importer->pdev);
	}
	kfree(importer);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.flush = importer_flush,
	.release = importer_close,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bar_importer",
	.fops = &importer_fops,
	.mode = 0600,
};

module_misc_device(importer_misc);

MODULE_DESCRIPTION("Imports DMABUFs for another device, for tests");
MODULE_AUTHOR("BAR Broker contributors");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
