// Usage: grpc-client SOCKET
//
// Calls barbroker.benchmark.Benchmark/EmptyCall with C++ gRPC. Takes commands, one a line, and
// answers each with a line:
//   latency CALLS                           one after the other; the nanoseconds of each
//   throughput CONNECTIONS UNDER_WAY CALLS  so many calls under way on each; nanoseconds for all
// The first blocks, which is C++'s fastest for a call alone; the second drives a completion queue.

#include <chrono>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "benchmark.grpc.pb.h"

using namespace barbroker::benchmark;
using std::chrono::steady_clock;

namespace
{

using Stubs = std::vector<std::unique_ptr<Benchmark::Stub>>;

struct Call {
	Benchmark::Stub *stub;
	grpc::ClientContext context;
	grpc::Status status;
	Empty response;
	std::unique_ptr<grpc::ClientAsyncResponseReader<Empty>> reader;
};

int64_t nanoseconds_since(steady_clock::time_point start)
{
	return std::chrono::nanoseconds(steady_clock::now() - start).count();
}

void check(const grpc::Status &status)
{
	if (!status.ok())
		throw std::runtime_error("EmptyCall failed: " + status.error_message());
}

// A connection of its own each: channels of the same target share one otherwise.
Stubs connect(const std::string &target, int count)
{
	grpc::ChannelArguments arguments;
	Stubs stubs;

	arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	for (int i = 0; i < count; i++)
		stubs.push_back(Benchmark::NewStub(grpc::CreateCustomChannel(
			target, grpc::InsecureChannelCredentials(), arguments)));
	return stubs;
}

void measure_latency(Benchmark::Stub *stub, int calls)
{
	for (int i = 0; i < calls; i++) {
		grpc::ClientContext context;
		Empty response;
		auto start = steady_clock::now();

		check(stub->EmptyCall(&context, Empty(), &response));
		std::cout << nanoseconds_since(start) << ' ';
	}
	std::cout << std::endl;
}

void begin(Benchmark::Stub *stub, grpc::CompletionQueue *queue)
{
	auto *call = new Call{ stub, {}, {}, {}, {} };

	call->reader = stub->AsyncEmptyCall(&call->context, Empty(), queue);
	call->reader->Finish(&call->response, &call->status, call);
}

void measure_throughput(const Stubs &stubs, int under_way, int calls)
{
	grpc::CompletionQueue queue;
	auto start = steady_clock::now();
	int begun = 0;
	void *tag;
	bool ok;

	for (; begun < under_way * static_cast<int>(stubs.size()); begun++)
		begin(stubs[begun % stubs.size()].get(), &queue);
	for (int ended = 0; ended < calls && queue.Next(&tag, &ok); ended++) {
		std::unique_ptr<Call> call(static_cast<Call *>(tag));

		check(call->status);
		if (begun < calls) {
			begin(call->stub, &queue);
			begun++;
		}
	}
	std::cout << nanoseconds_since(start) << std::endl;
}

} // namespace

int main(int argc, char **argv)
{
	std::string line;

	if (argc != 2) {
		std::cerr << "Usage: grpc-client SOCKET\n";
		return 2;
	}
	const std::string target = std::string("unix:") + argv[1];
	const Stubs one = connect(target, 1);
	Stubs many;

	while (std::getline(std::cin, line)) {
		std::istringstream words(line);
		std::string command;
		int connections, under_way, calls;

		words >> command;
		if (command == "latency" && words >> calls) {
			measure_latency(one[0].get(), calls);
		} else if (command == "throughput" && words >> connections >> under_way >> calls) {
			if (static_cast<int>(many.size()) != connections)
				many = connect(target, connections);
			measure_throughput(many, under_way, calls);
		} else {
			std::cerr << "grpc-client: no command '" << line << "'\n";
			return 2;
		}
	}
	return 0;
}
