// SPDX-License-Identifier: Apache-2.0
//
// A client in C++: gRPC for the lease, libbarbroker for its descriptor and its registers.
//
//     client SOCKET DEVICE WINDOW
//
// Writes a counter to the register at 0x100 until the lease is taken away: exit status 3.
#include <barbroker.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "barbroker/v1/broker.grpc.pb.h"

namespace v1 = barbroker::v1;

static int fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	return 1;
}

// The kernel's word on an access that failed: 3 when the lease is over, 0 to try again.
static int explain(int lease)
{
	int state = bb_lease_state(lease, nullptr);

	if (state < 0)
		return fail("bb_lease_state", state);
	puts(state == BB_REVOKED ? "revoked" : "suspended");
	return state == BB_REVOKED ? 3 : 0;
}

// Rings until the lease ends; the connection tells of that.
static int use(int connection, int lease, volatile char *bar)
{
	for (uint32_t counter = 1;; counter++) {
		uint32_t identification, back;
		int status = 0;

		if (bb_mmio_read32(bar, &identification) || bb_mmio_write32(bar + 0x100, counter) ||
		    bb_mmio_read32(bar + 0x100, &back))
			status = explain(lease);
		else if (counter == 1)
			printf("identification 0x%08x, wrote 1, reads back %u\n", identification,
			       back);
		if (status)
			return status;
		if (bb_wait_end(connection, 10) != 0) {
			puts("revoked");
			return 3;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "Usage: %s SOCKET DEVICE WINDOW\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, nullptr, _IOLBF, 0);

	// Newer versions of gRPC send the socket's path, percent-encoded, as the host's name, which
	// it can't be: servers that look at it refuse the call. Any proper name will do.
	grpc::ChannelArguments arguments;
	arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
	auto channel = grpc::CreateCustomChannel(std::string("unix:") + argv[1],
						 grpc::InsecureChannelCredentials(), arguments);

	v1::AcquireRequest request;
	v1::AcquireResponse response;
	grpc::ClientContext context;
	request.set_device(argv[2]);
	request.set_window(argv[3]);
	request.set_access(v1::ACCESS_READ_WRITE);
	request.set_delivery(v1::DELIVERY_TICKET);
	auto status = v1::Broker::NewStub(channel)->Acquire(&context, request, &response);
	if (!status.ok()) {
		fprintf(stderr, "Acquire: %s\n", status.error_message().c_str());
		return 1;
	}

	int lease, connection = bb_redeem(argv[1], response.ticket().secret().c_str(), &lease);
	if (connection < 0)
		return fail("bb_redeem", connection);
	void *bar;
	size_t length;
	if (int error = bb_map(lease, BB_READ_WRITE, &bar, &length))
		return fail("bb_map", error);
	if (int error = bb_mmio_init())
		return fail("bb_mmio_init", error);
	printf("lease %llu, %zu bytes\n", (unsigned long long)response.lease().lease_id(), length);
	return use(connection, lease, static_cast<volatile char *>(bar));
}
