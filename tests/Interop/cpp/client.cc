// Usage: client SOCKET
//
// gRPC's public interop cases on C++ gRPC, against the server on the Unix socket SOCKET. A line for
// each case; the last is `N passed, N failed`.

#include <chrono>
#include <cctype>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "cases.h"
#include "grpc/testing/test.grpc.pb.h"

using namespace interop;
using namespace grpc::testing;
using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;

namespace
{

using Channel = std::shared_ptr<grpc::Channel>;

// Reached only by failures.
constexpr std::chrono::seconds PATIENCE(60);

template <typename Found, typename Wanted>
void expect(const char *what, const Found &found, const Wanted &wanted)
{
	if (found == wanted)
		return;
	std::ostringstream text;
	text << what << " is '" << found << "', not '" << wanted << "'";
	throw std::runtime_error(text.str());
}

void expect_status(const Status &status, StatusCode code)
{
	if (status.error_code() != code)
		throw std::runtime_error("status " + std::to_string(status.error_code()) +
					 " instead of " + std::to_string(code) + ": " +
					 status.error_message());
}

void expect_status(const Status &status, StatusCode code, const std::string &message)
{
	expect_status(status, code);
	expect("the message", status.error_message(), message);
}

void expect_zeros(const Payload &payload, int size)
{
	expect("the payload's size", payload.body().size(), static_cast<size_t>(size));
	expect("the payload is zeros", payload.body() == std::string(size, '\0'), true);
}

std::unique_ptr<ClientContext> new_context()
{
	auto context = std::make_unique<ClientContext>();
	context->set_deadline(std::chrono::system_clock::now() + PATIENCE);
	return context;
}

std::string zeros(int size)
{
	return std::string(size, '\0');
}

SimpleRequest large_request()
{
	SimpleRequest request;
	request.set_response_size(LARGE_RESPONSE);
	request.mutable_payload()->set_body(zeros(LARGE_REQUEST));
	return request;
}

StreamingOutputCallRequest output_request(int response_size, int request_size)
{
	StreamingOutputCallRequest request;
	request.add_response_parameters()->set_size(response_size);
	request.mutable_payload()->set_body(zeros(request_size));
	return request;
}

void empty_unary(const Channel &channel)
{
	auto context = new_context();
	Empty response;
	expect_status(TestService::NewStub(channel)->EmptyCall(context.get(), Empty(), &response),
		      StatusCode::OK);
}

void large_unary(const Channel &channel)
{
	auto context = new_context();
	SimpleResponse response;
	auto stub = TestService::NewStub(channel);
	expect_status(stub->UnaryCall(context.get(), large_request(), &response), StatusCode::OK);
	expect_zeros(response.payload(), LARGE_RESPONSE);
}

void client_streaming(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	StreamingInputCallResponse response;
	auto call = stub->StreamingInputCall(context.get(), &response);
	int sum = 0;
	for (int size : REQUEST_SIZES) {
		StreamingInputCallRequest request;
		request.mutable_payload()->set_body(zeros(size));
		expect("the write went well", call->Write(request), true);
		sum += size;
	}
	call->WritesDone();
	expect_status(call->Finish(), StatusCode::OK);
	expect("the sum", response.aggregated_payload_size(), sum);
}

void server_streaming(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	StreamingOutputCallRequest request;
	for (int size : RESPONSE_SIZES)
		request.add_response_parameters()->set_size(size);
	auto call = stub->StreamingOutputCall(context.get(), request);
	StreamingOutputCallResponse response;
	for (int size : RESPONSE_SIZES) {
		expect("there is a response", call->Read(&response), true);
		expect_zeros(response.payload(), size);
	}
	expect("there is another response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::OK);
}

void ping_pong(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	auto call = stub->FullDuplexCall(context.get());
	StreamingOutputCallResponse response;
	for (size_t i = 0; i < RESPONSE_SIZES.size(); i++) {
		auto request = output_request(RESPONSE_SIZES[i], REQUEST_SIZES[i]);
		expect("the write went well", call->Write(request), true);
		expect("there is a response", call->Read(&response), true);
		expect_zeros(response.payload(), RESPONSE_SIZES[i]);
	}
	call->WritesDone();
	expect("there is another response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::OK);
}

void empty_stream(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	auto call = stub->FullDuplexCall(context.get());
	call->WritesDone();
	StreamingOutputCallResponse response;
	expect("there is a response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::OK);
}

std::unique_ptr<ClientContext> new_context_with_metadata()
{
	auto context = new_context();
	context->AddMetadata(INITIAL_KEY, INITIAL_VALUE);
	context->AddMetadata(TRAILING_KEY, TRAILING_VALUE);
	return context;
}

void expect_echo(const ClientContext &context)
{
	const auto &initial = context.GetServerInitialMetadata();
	const auto &trailing = context.GetServerTrailingMetadata();
	auto text = initial.find(INITIAL_KEY);
	auto bytes = trailing.find(TRAILING_KEY);
	expect("the initial metadata came back", text != initial.end(), true);
	expect("the trailing metadata came back", bytes != trailing.end(), true);
	expect("the initial metadata", text->second, INITIAL_VALUE);
	expect("the trailing metadata is right", bytes->second == TRAILING_VALUE, true);
}

void custom_metadata(const Channel &channel)
{
	auto stub = TestService::NewStub(channel);
	auto unary = new_context_with_metadata();
	SimpleResponse answer;
	expect_status(stub->UnaryCall(unary.get(), large_request(), &answer), StatusCode::OK);
	expect_zeros(answer.payload(), LARGE_RESPONSE);
	expect_echo(*unary);

	auto duplex = new_context_with_metadata();
	auto call = stub->FullDuplexCall(duplex.get());
	call->Write(output_request(LARGE_RESPONSE, LARGE_REQUEST));
	call->WritesDone();
	StreamingOutputCallResponse response;
	expect("there is a response", call->Read(&response), true);
	expect_zeros(response.payload(), LARGE_RESPONSE);
	expect("there is another response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::OK);
	expect_echo(*duplex);
}

Status call_for_status(const Channel &channel, const std::string &message)
{
	auto context = new_context();
	SimpleRequest request;
	SimpleResponse response;
	request.mutable_response_status()->set_code(StatusCode::UNKNOWN);
	request.mutable_response_status()->set_message(message);
	return TestService::NewStub(channel)->UnaryCall(context.get(), request, &response);
}

void status_code_and_message(const Channel &channel)
{
	expect_status(call_for_status(channel, PLAIN_MESSAGE), StatusCode::UNKNOWN, PLAIN_MESSAGE);

	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	auto call = stub->FullDuplexCall(context.get());
	StreamingOutputCallRequest request;
	StreamingOutputCallResponse response;
	request.mutable_response_status()->set_code(StatusCode::UNKNOWN);
	request.mutable_response_status()->set_message(PLAIN_MESSAGE);
	call->Write(request);
	call->WritesDone();
	expect("there is a response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::UNKNOWN, PLAIN_MESSAGE);
}

void special_status_message(const Channel &channel)
{
	expect_status(call_for_status(channel, SPECIAL_MESSAGE), StatusCode::UNKNOWN,
		      SPECIAL_MESSAGE);
}

void unimplemented_method(const Channel &channel)
{
	auto context = new_context();
	Empty response;
	auto stub = TestService::NewStub(channel);
	expect_status(stub->UnimplementedCall(context.get(), Empty(), &response),
		      StatusCode::UNIMPLEMENTED);
}

void unimplemented_service(const Channel &channel)
{
	auto context = new_context();
	Empty response;
	auto stub = UnimplementedService::NewStub(channel);
	expect_status(stub->UnimplementedCall(context.get(), Empty(), &response),
		      StatusCode::UNIMPLEMENTED);
}

void cancel_after_begin(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	StreamingInputCallResponse response;
	auto call = stub->StreamingInputCall(context.get(), &response);
	context->TryCancel();
	expect_status(call->Finish(), StatusCode::CANCELLED);
}

void cancel_after_first_response(const Channel &channel)
{
	auto context = new_context();
	auto stub = TestService::NewStub(channel);
	auto call = stub->FullDuplexCall(context.get());
	StreamingOutputCallResponse response;
	expect("the write went well", call->Write(output_request(31415, 27182)), true);
	expect("there is a response", call->Read(&response), true);
	expect_zeros(response.payload(), 31415);
	context->TryCancel();
	expect("there is another response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::CANCELLED);
}

void timeout_on_sleeping_server(const Channel &channel)
{
	ClientContext context;
	context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
	auto stub = TestService::NewStub(channel);
	auto call = stub->FullDuplexCall(&context);
	StreamingOutputCallRequest request;
	StreamingOutputCallResponse response;
	request.mutable_payload()->set_body(zeros(27182));
	call->Write(request);
	expect("there is a response", call->Read(&response), false);
	expect_status(call->Finish(), StatusCode::DEADLINE_EXCEEDED);
}

std::string percent_encoded(const std::string &text)
{
	std::string encoded;
	char code[4];
	for (unsigned char c : text) {
		if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
			encoded += c;
		} else {
			std::snprintf(code, sizeof code, "%%%02X", c);
			encoded += code;
		}
	}
	return encoded;
}

Channel connect(const std::string &socket, const grpc::ChannelArguments &arguments = {})
{
	return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(),
					 arguments);
}

Channel connect_as(const std::string &socket, const std::string &authority)
{
	grpc::ChannelArguments arguments;
	arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
	return connect(socket, arguments);
}

// What gRPC-core sends for Unix sockets since 1.57.
void authority_path_is_reset(const std::string &socket)
{
	auto context = new_context();
	Empty response;
	auto stub = TestService::NewStub(connect_as(socket, percent_encoded(socket)));
	expect_status(stub->EmptyCall(context.get(), Empty(), &response), StatusCode::INTERNAL);
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::cerr << "Usage: client SOCKET\n";
		return 2;
	}
	const std::string socket = argv[1];
	const Channel channel = connect(socket);
	using Case = std::pair<const char *, std::function<void()>>;
	const auto on_channel = [&](void (*test)(const Channel &)) {
		return [&, test] { test(channel); };
	};
#define ON_CHANNEL(test)                                                                           \
	{                                                                                          \
#test, on_channel(test)                                                            \
	}
	const std::vector<Case> cases = {
		ON_CHANNEL(empty_unary),
		ON_CHANNEL(large_unary),
		ON_CHANNEL(client_streaming),
		ON_CHANNEL(server_streaming),
		ON_CHANNEL(ping_pong),
		ON_CHANNEL(empty_stream),
		ON_CHANNEL(custom_metadata),
		ON_CHANNEL(status_code_and_message),
		ON_CHANNEL(special_status_message),
		ON_CHANNEL(unimplemented_method),
		ON_CHANNEL(unimplemented_service),
		ON_CHANNEL(cancel_after_begin),
		ON_CHANNEL(cancel_after_first_response),
		ON_CHANNEL(timeout_on_sleeping_server),
		{ "authority_path_is_reset", [&] { authority_path_is_reset(socket); } },
		{ "authority_localhost_works",
		  [&] { empty_unary(connect_as(socket, "localhost")); } },
	};
	size_t failed = 0;
	for (const auto &[name, test] : cases) {
		try {
			test();
			std::cout << "ok " << name << std::endl;
		} catch (const std::exception &error) {
			failed++;
			std::cout << "FAILED " << name << ": " << error.what() << std::endl;
		}
	}
	std::cout << cases.size() - failed << " passed, " << failed << " failed" << std::endl;
	return failed ? 1 : 0;
}
