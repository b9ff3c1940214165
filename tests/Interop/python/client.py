#!/usr/bin/python3
"""Usage: client.py SOCKET MESSAGES

gRPC's public interop cases on Python's grpcio, against the server on the Unix socket SOCKET. MESSAGES is the directory of
protoc's modules for proto/grpc/testing. A line for each case; the last is `N passed, N failed`.
"""

import queue
import sys
import traceback
import urllib.parse

import grpc

SOCKET, MESSAGES = sys.argv[1:]
# As modules of their own: their package, grpc.testing, would be looked for in grpcio.
sys.path.insert(0, MESSAGES)
from empty_pb2 import Empty  # noqa: E402
from messages_pb2 import (  # noqa: E402
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

# Seconds. Reached only by failures.
PATIENCE = 60

LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


class Service:
    """The methods, by their paths: what generated stubs would be."""

    def __init__(self, channel):
        method = "/grpc.testing.TestService/"
        encode = lambda message: message.SerializeToString()  # noqa: E731
        output = StreamingOutputCallResponse.FromString
        self.empty = channel.unary_unary(method + "EmptyCall", encode, Empty.FromString)
        self.unary = channel.unary_unary(method + "UnaryCall", encode, SimpleResponse.FromString)
        self.input = channel.stream_unary(method + "StreamingInputCall", encode, StreamingInputCallResponse.FromString)
        self.output = channel.unary_stream(method + "StreamingOutputCall", encode, output)
        self.duplex = channel.stream_stream(method + "FullDuplexCall", encode, output)
        self.no_method = channel.unary_unary(method + "UnimplementedCall", encode, Empty.FromString)
        self.no_service = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall", encode, Empty.FromString)


class Requests:
    """What a call sends, one at a time and for as long as the case likes."""

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, request):
        self._queue.put(request)

    def close(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


def unary_request():
    return SimpleRequest(response_size=LARGE_RESPONSE, payload={"body": bytes(LARGE_REQUEST)})


def output_request(response_size, request_size):
    return StreamingOutputCallRequest(response_parameters=[{"size": response_size}], payload={"body": bytes(request_size)})


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def expect_failure(call, code, message=None):
    """What `call` does must fail with this status."""
    try:
        answer = call()
    except grpc.RpcError as error:
        expect(error.code(), code)
        if message is not None:
            expect(error.details(), message)
        return
    raise AssertionError(f"{answer!r} instead of {code}")


def expect_end(call):
    expect(next(call, None), None)
    expect(call.code(), grpc.StatusCode.OK)


def empty_unary(service):
    expect(service.empty(Empty(), timeout=PATIENCE), Empty())


def large_unary(service):
    expect(service.unary(unary_request(), timeout=PATIENCE).payload.body, bytes(LARGE_RESPONSE))


def client_streaming(service):
    requests = (StreamingInputCallRequest(payload={"body": bytes(size)}) for size in REQUEST_SIZES)
    expect(service.input(requests, timeout=PATIENCE).aggregated_payload_size, sum(REQUEST_SIZES))


def server_streaming(service):
    request = StreamingOutputCallRequest(response_parameters=[{"size": size} for size in RESPONSE_SIZES])
    call = service.output(request, timeout=PATIENCE)
    expect([response.payload.body for response in call], [bytes(size) for size in RESPONSE_SIZES])
    expect(call.code(), grpc.StatusCode.OK)


def ping_pong(service):
    requests = Requests()
    call = service.duplex(iter(requests), timeout=PATIENCE)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        requests.send(output_request(response_size, request_size))
        expect(next(call).payload.body, bytes(response_size))
    requests.close()
    expect_end(call)


def empty_stream(service):
    expect_end(service.duplex(iter(()), timeout=PATIENCE))


def expect_echo(call):
    expect(dict(call.initial_metadata()).get(INITIAL[0]), INITIAL[1])
    expect(dict(call.trailing_metadata()).get(TRAILING[0]), TRAILING[1])


def custom_metadata(service):
    answer, call = service.unary.with_call(unary_request(), timeout=PATIENCE, metadata=(INITIAL, TRAILING))
    expect(len(answer.payload.body), LARGE_RESPONSE)
    expect_echo(call)
    call = service.duplex(iter([output_request(LARGE_RESPONSE, LARGE_REQUEST)]), timeout=PATIENCE, metadata=(INITIAL, TRAILING))
    expect([len(response.payload.body) for response in call], [LARGE_RESPONSE])
    expect_echo(call)


def status_code_and_message(service):
    status = {"code": 2, "message": "test status message"}
    wanted = (grpc.StatusCode.UNKNOWN, status["message"])
    expect_failure(lambda: service.unary(SimpleRequest(response_status=status), timeout=PATIENCE), *wanted)
    requests = iter([StreamingOutputCallRequest(response_status=status)])
    expect_failure(lambda: next(service.duplex(requests, timeout=PATIENCE)), *wanted)


def special_status_message(service):
    request = SimpleRequest(response_status={"code": 2, "message": SPECIAL_MESSAGE})
    expect_failure(lambda: service.unary(request, timeout=PATIENCE), grpc.StatusCode.UNKNOWN, SPECIAL_MESSAGE)


def unimplemented_method(service):
    expect_failure(lambda: service.no_method(Empty(), timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(service):
    expect_failure(lambda: service.no_service(Empty(), timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)


def cancel_after_begin(service):
    requests = Requests()
    call = service.input.future(iter(requests), timeout=PATIENCE)
    expect(call.cancel(), True)
    expect(call.code(), grpc.StatusCode.CANCELLED)
    requests.close()


def cancel_after_first_response(service):
    requests = Requests()
    call = service.duplex(iter(requests), timeout=PATIENCE)
    requests.send(output_request(31415, 27182))
    expect(len(next(call).payload.body), 31415)
    call.cancel()
    expect_failure(lambda: next(call), grpc.StatusCode.CANCELLED)
    requests.close()


def timeout_on_sleeping_server(service):
    requests = Requests()
    requests.send(StreamingOutputCallRequest(payload={"body": bytes(27182)}))
    call = service.duplex(iter(requests), timeout=0.001)
    expect_failure(lambda: next(call), grpc.StatusCode.DEADLINE_EXCEEDED)
    requests.close()


def connect(*options):
    return grpc.insecure_channel(f"unix:{SOCKET}", options=options)


def authority_path_is_reset(_):
    # What gRPC-core sends for Unix sockets since 1.57.
    path = urllib.parse.quote(SOCKET, safe="")
    with connect(("grpc.default_authority", path)) as channel:
        expect_failure(lambda: Service(channel).empty(Empty(), timeout=PATIENCE), grpc.StatusCode.INTERNAL)


def authority_localhost_works(_):
    with connect(("grpc.default_authority", "localhost")) as channel:
        empty_unary(Service(channel))


CASES = (
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    authority_path_is_reset,
    authority_localhost_works,
)


def main():
    failed = 0
    with connect() as channel:
        service = Service(channel)
        for case in CASES:
            try:
                case(service)
                print(f"ok {case.__name__}")
            except Exception:  # noqa: BLE001: whatever it is, the case failed
                failed += 1
                print(f"FAILED {case.__name__}\n{traceback.format_exc()}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
