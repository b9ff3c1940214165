// Usage: grpc-server SOCKET
//
// barbroker.benchmark.Benchmark/EmptyCall on C++ gRPC, which says `serving SOCKET` once it does
// and ends with its standard input. One thread drives one completion queue: of what C++ gRPC
// offers (blocking, callback, a queue with one thread or two) that was the fastest here.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "benchmark.grpc.pb.h"

using namespace barbroker::benchmark;

namespace
{

// Calls that are waited for at a time: as many as the client has under way.
enum { WAITING = 64 };

struct Call {
	grpc::ServerContext context;
	Empty request;
	Empty response;
	grpc::ServerAsyncResponseWriter<Empty> writer{ &context };
	bool is_answered = false;
};

void await_call(Benchmark::AsyncService *service, grpc::ServerCompletionQueue *queue)
{
	auto *call = new Call;

	service->RequestEmptyCall(&call->context, &call->request, &call->writer, queue, queue,
				  call);
}

void serve(Benchmark::AsyncService *service, grpc::ServerCompletionQueue *queue)
{
	void *tag;
	bool ok;

	while (queue->Next(&tag, &ok)) {
		std::unique_ptr<Call> call(static_cast<Call *>(tag));

		if (!ok || call->is_answered)
			continue;
		await_call(service, queue);
		call->is_answered = true;
		call->writer.Finish(call->response, grpc::Status::OK, call.get());
		call.release();
	}
}

} // namespace

int main(int argc, char **argv)
{
	std::string line;

	if (argc != 2) {
		std::cerr << "Usage: grpc-server SOCKET\n";
		return 2;
	}
	Benchmark::AsyncService service;
	grpc::ServerBuilder builder;
	builder.AddListeningPort(std::string("unix:") + argv[1], grpc::InsecureServerCredentials());
	builder.RegisterService(&service);
	auto queue = builder.AddCompletionQueue();
	auto server = builder.BuildAndStart();
	if (!server) {
		std::cerr << "grpc-server: can't listen on " << argv[1] << "\n";
		return 1;
	}
	for (int i = 0; i < WAITING; i++)
		await_call(&service, queue.get());
	std::thread(serve, &service, queue.get()).detach();
	std::cout << "serving " << argv[1] << std::endl;
	while (std::getline(std::cin, line))
		;
	// Calls that are waited for would only delay the end.
	std::_Exit(0);
}
