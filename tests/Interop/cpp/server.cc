// Usage: server SOCKET
//
// grpc.testing.TestService on C++ gRPC, for our client. Says `serving SOCKET` once it does, and
// ends with SIGTERM.

#include <chrono>
#include <csignal>
#include <iostream>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "cases.h"
#include "grpc/testing/test.grpc.pb.h"

using namespace interop;
using namespace grpc::testing;
using grpc::ServerContext;
using grpc::Status;

namespace
{

void echo_metadata(ServerContext *context)
{
	for (const auto &[key, value] : context->client_metadata()) {
		if (key == INITIAL_KEY)
			context->AddInitialMetadata(INITIAL_KEY, { value.data(), value.size() });
		else if (key == TRAILING_KEY)
			context->AddTrailingMetadata(TRAILING_KEY, { value.data(), value.size() });
	}
}

Status to_status(const EchoStatus &status)
{
	return Status(static_cast<grpc::StatusCode>(status.code()), status.message());
}

// An answer for each of its parameters. False once the client takes no more.
template <typename Writer> bool answer(const StreamingOutputCallRequest &request, Writer *writer)
{
	for (const auto &parameters : request.response_parameters()) {
		StreamingOutputCallResponse response;
		std::this_thread::sleep_for(std::chrono::microseconds(parameters.interval_us()));
		response.mutable_payload()->set_body(std::string(parameters.size(), '\0'));
		if (!writer->Write(response))
			return false;
	}
	return true;
}

class Service final : public TestService::Service
{
	Status EmptyCall(ServerContext *context, const Empty *, Empty *) override
	{
		echo_metadata(context);
		return Status::OK;
	}

	Status UnaryCall(ServerContext *context, const SimpleRequest *request,
			 SimpleResponse *response) override
	{
		echo_metadata(context);
		if (request->response_status().code() != grpc::StatusCode::OK)
			return to_status(request->response_status());
		response->mutable_payload()->set_body(std::string(request->response_size(), '\0'));
		return Status::OK;
	}

	Status StreamingOutputCall(ServerContext *context,
				   const StreamingOutputCallRequest *request,
				   grpc::ServerWriter<StreamingOutputCallResponse> *writer) override
	{
		echo_metadata(context);
		if (request->response_status().code() != grpc::StatusCode::OK)
			return to_status(request->response_status());
		answer(*request, writer);
		return Status::OK;
	}

	Status StreamingInputCall(ServerContext *context,
				  grpc::ServerReader<StreamingInputCallRequest> *reader,
				  StreamingInputCallResponse *response) override
	{
		echo_metadata(context);
		StreamingInputCallRequest request;
		int sum = 0;
		while (reader->Read(&request))
			sum += request.payload().body().size();
		response->set_aggregated_payload_size(sum);
		return Status::OK;
	}

	Status FullDuplexCall(ServerContext *context,
			      grpc::ServerReaderWriter<StreamingOutputCallResponse,
						       StreamingOutputCallRequest> *stream) override
	{
		echo_metadata(context);
		StreamingOutputCallRequest request;
		while (stream->Read(&request)) {
			if (request.response_status().code() != grpc::StatusCode::OK)
				return to_status(request.response_status());
			if (!answer(request, stream))
				break;
		}
		return Status::OK;
	}
};

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::cerr << "Usage: server SOCKET\n";
		return 2;
	}
	// Before there are threads: none of them may take the signal.
	sigset_t terminate;
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &terminate, nullptr);

	Service service;
	grpc::ServerBuilder builder;
	builder.AddListeningPort(std::string("unix:") + argv[1], grpc::InsecureServerCredentials());
	builder.RegisterService(&service);
	auto server = builder.BuildAndStart();
	if (!server) {
		std::cerr << "server: can't listen on " << argv[1] << "\n";
		return 1;
	}
	std::cout << "serving " << argv[1] << std::endl;
	int signal;
	sigwait(&terminate, &signal);
	server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(10));
	return 0;
}
