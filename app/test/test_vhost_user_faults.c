/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every system call and allocation of a front-end fails, once a run: as test_vhost_be_faults.c, at
 * the other end. An operation that fails says why.
 */
#include "rig_backend.h"
#include "rig_faults.h"

#define EACH_PLACE 12
#define RUN_S 30
#define LEAST 90
#define IOMMU VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)

static struct {
	struct mock *m;
	const char *path;
	char fault[120];
	bool exact;
	uint32_t problems;
} run;

static void
report(bool good, const char *what)
{
	if (good)
		return;
	run.problems++;
	fprintf(stderr, "%s, %s: %s; last: %s\n", run.fault,
		run.exact ? "next session" : "session", what, run.m->dev.why);
}

/* An operation's result: 0, or a reason. */
static void
step(const char *operation, int rc)
{
	report(rc == 0 || !run.exact, operation);
	report(rc == 0 || strlen(run.m->dev.why) > 10, "no reason");
	/* The back-end lives, and reads. */
	report(strstr(run.m->dev.why, "closed the connection") == NULL, "a wrong reason");
}

#define STEP(operation) step(#operation, operation)

static void
begin_session(struct vhost_dev *dev)
{
	uint32_t rings;

	STEP(vhost_init(dev));
	STEP(vhost_set_owner(dev));
	STEP(vhost_get_queue_num(dev, &rings));
	STEP(vhost_set_features(dev, MOCK_ACKED | IOMMU));
}

static void
set_up_ring(struct vhost_dev *dev)
{
	const struct vhost_vring_addr addr = {
		.desc = run.m->mem, .avail = run.m->mem + 4096, .used = run.m->mem + 8192 };
	const int fd = eventfd(0, EFD_CLOEXEC);
	uint32_t base;

	STEP(vhost_set_vring_num(dev, 0, RIG_SIZE));
	STEP(vhost_set_vring_base(dev, 0, 0));
	STEP(vhost_set_vring_addr(dev, 0, &addr));
	STEP(vhost_set_vring_call(dev, 0, fd));
	STEP(vhost_set_vring_kick(dev, 0, fd));
	STEP(vhost_set_vring_enable(dev, 0, true));
	STEP(vhost_set_log_base(dev, 4096, 0, run.m->memfd));
	STEP(vhost_get_vring_base(dev, 0, &base));
	close(fd);
}

/* The back-end asks for an address, and is told. */
static void
answer_miss(struct mock *m)
{
	uint8_t status;

	STEP(vhost_get_status(&m->dev, &status));
	for (int i = 0; i < 200 && mock_count(m, VHU_IOTLB_MSG) == 0; i++) {
		if (!vhost_dev_is_open(&m->dev) || (!run.exact && i > 5))
			break;
		mock_pump(m);
	}
	report(!run.exact || mock_count(m, VHU_IOTLB_MSG) > 0, "no answer to a miss");
}

static void
play_session(void)
{
	struct mock *m = run.m;
	const struct vhost_region r[2] = { mock_region(m, 0, 8), mock_region(m, 16, 8) };
	const int fd = connect_to(run.path);

	pthread_mutex_lock(&m->lock);
	m->nseen = 0;
	pthread_mutex_unlock(&m->lock);
	m->dev.why[0] = '\0';
	rig_faults_enter();
	STEP(vhost_user_open(&m->dev, fd));
	if (vhost_dev_is_open(&m->dev)) {
		begin_session(&m->dev);
		STEP(vhost_set_mem_table(&m->dev, r, 2));
		set_up_ring(&m->dev);
		answer_miss(m);
		STEP(vhost_send_iotlb(&m->dev, r[0].iova, r[0].size, NULL, 0,
				      VHU_IOTLB_INVALIDATE));
		STEP(vhost_set_mem_table(&m->dev, r, 1));
		mock_pump(m);
	}
	vhost_dev_close(&m->dev);
	rig_faults_leave();
}

static void
run_once(const struct rig_fault *fault)
{
	struct vhu_iotlb miss = { .type = VHU_IOTLB_MISS, .perm = 1 };
	void *state;

	snprintf(run.fault, sizeof(run.fault), "%s",
		 fault == NULL ? "no fault" : rig_faults_text(fault));
	alarm(RUN_S);
	mock_setup(&state);
	run.m = state;
	run.exact = fault == NULL;
	run.m->ask = (struct vhu_hdr){ VHU_BACKEND_IOTLB_MSG, VHU_VERSION, sizeof(miss) };
	miss.iova = mock_region(run.m, 0, 1).iova;
	memcpy(run.m->ask_raw, &miss, sizeof(miss));
	run.m->act[VHU_GET_STATUS] = ASK_FIRST;
	mock_listen(run.m, run.path);
	rig_faults_begin(fault);
	play_session();
	rig_faults_go_on(false);
	run.exact = true;
	play_session();
	mock_stop(run.m);
	unlink(run.path);
	if (mock_teardown(&state) != 0) {
		fprintf(stderr, "%s: something is left\n", run.fault);
		run.problems++;
	}
	alarm(0);
}

static void
a_front_end_survives_each_fault(void **state)
{
	static struct rig_fault fault[RIG_FAULTS_MAX];
	uint32_t n, hit = 0;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/vring-user-faults-%d", getpid());
	run.path = path;
	run_once(NULL);
	run_once(NULL);
	n = rig_faults_plan(fault, EACH_PLACE);
	for (uint32_t i = 0; i < n; i++) {
		run_once(&fault[i]);
		hit += rig_faults_hits() > 0;
	}
	print_message("# %u faults\n", hit);
	assert_int_equal(run.problems, 0);
	assert_true(hit >= LEAST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_front_end_survives_each_fault),
	};

	return cmocka_run_group_tests_name("vhost_user_faults", tests, NULL, NULL);
}
