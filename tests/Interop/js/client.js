// Usage: client.js SOCKET PROTOS
//
// gRPC's public interop cases on @grpc/grpc-js, against the server on the Unix socket SOCKET. PROTOS is the directory of the
// .proto files. A line for each case; the last is `N passed, N failed`. Node.js finds the packages by NODE_PATH.

'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [socket, protos] = process.argv.slice(2);
const definition = loader.loadSync('grpc/testing/test.proto', { includeDirs: [protos], keepCase: true });
const { TestService, UnimplementedService } = grpc.loadPackageDefinition(definition).grpc.testing;

// Milliseconds. Reached only by failures.
const PATIENCE = 60_000;

const LARGE_REQUEST = 271828;
const LARGE_RESPONSE = 314159;
const REQUEST_SIZES = [27182, 8, 1828, 45904];
const RESPONSE_SIZES = [31415, 9, 2653, 58979];
const INITIAL = ['x-grpc-test-echo-initial', 'test_initial_metadata_value'];
const TRAILING = ['x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab])];
const SPECIAL_MESSAGE = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';

const payload = (size) => ({ body: Buffer.alloc(size) });
const outputRequest = (responseSize, requestSize) =>
    ({ response_parameters: [{ size: responseSize }], payload: payload(requestSize) });
const options = () => ({ deadline: Date.now() + PATIENCE });

// A call with one response: what came, or the error, together with the metadata of both kinds.
function single(client, method, request, metadata = new grpc.Metadata()) {
    return new Promise((resolve, reject) => {
        const seen = {};
        const call = client[method](request, metadata, options(), (error, response) => {
            // The status, which has the trailers, comes right after this.
            call.once('status', (status) => error ? reject(error) : resolve({ ...seen, response, trailers: status.metadata }));
        });
        call.on('metadata', (initial) => { seen.initial = initial; });
    });
}

// A call with many responses: takes them one at a time.
class Stream {
    constructor(call) {
        this.call = call;
        this.initial = once(call, 'metadata').then(([metadata]) => metadata);
        // Who waits for neither is told by what comes of the call.
        this.initial.catch(() => {});
        this.status = new Promise((resolve) => call.once('status', resolve));
        this.responses = call[Symbol.asyncIterator]();
    }

    async next() {
        const { done, value } = await this.responses.next();
        return done ? null : value;
    }

    async expectEnd() {
        assert.strictEqual(await this.next(), null);
        assert.strictEqual((await this.status).code, grpc.status.OK);
    }

    async expectFailure(code, details) {
        await assert.rejects(this.next(), details === undefined ? { code } : { code, details });
    }
}

async function expectFailure(call, code, details) {
    await assert.rejects(call, details === undefined ? { code } : { code, details });
}

function expectZeros({ payload: { body } }, size) {
    assert.ok(body.equals(Buffer.alloc(size)), `${body.length} bytes instead of ${size}, or not zero`);
}

function expectEcho(initial, trailers) {
    assert.deepStrictEqual(initial.get(INITIAL[0]), [INITIAL[1]]);
    assert.deepStrictEqual(trailers.get(TRAILING[0]), [TRAILING[1]]);
}

const cases = {
    async empty_unary(client) {
        await single(client, 'EmptyCall', {});
    },

    async large_unary(client) {
        const request = { response_size: LARGE_RESPONSE, payload: payload(LARGE_REQUEST) };
        expectZeros((await single(client, 'UnaryCall', request)).response, LARGE_RESPONSE);
    },

    async client_streaming(client) {
        const response = await new Promise((resolve, reject) => {
            const call = client.StreamingInputCall(new grpc.Metadata(), options(),
                (error, answer) => error ? reject(error) : resolve(answer));
            REQUEST_SIZES.forEach((size) => call.write({ payload: payload(size) }));
            call.end();
        });
        assert.strictEqual(response.aggregated_payload_size, REQUEST_SIZES.reduce((sum, size) => sum + size));
    },

    async server_streaming(client) {
        const request = { response_parameters: RESPONSE_SIZES.map((size) => ({ size })) };
        const stream = new Stream(client.StreamingOutputCall(request, new grpc.Metadata(), options()));
        for (const size of RESPONSE_SIZES) {
            expectZeros(await stream.next(), size);
        }
        await stream.expectEnd();
    },

    async ping_pong(client) {
        const stream = new Stream(client.FullDuplexCall(new grpc.Metadata(), options()));
        for (const [i, size] of RESPONSE_SIZES.entries()) {
            stream.call.write(outputRequest(size, REQUEST_SIZES[i]));
            expectZeros(await stream.next(), size);
        }
        stream.call.end();
        await stream.expectEnd();
    },

    async empty_stream(client) {
        const stream = new Stream(client.FullDuplexCall(new grpc.Metadata(), options()));
        stream.call.end();
        await stream.expectEnd();
    },

    async custom_metadata(client) {
        const metadata = new grpc.Metadata();
        metadata.set(...INITIAL);
        metadata.set(...TRAILING);
        const request = { response_size: LARGE_RESPONSE, payload: payload(LARGE_REQUEST) };
        const { initial, response, trailers } = await single(client, 'UnaryCall', request, metadata);
        expectZeros(response, LARGE_RESPONSE);
        expectEcho(initial, trailers);

        const stream = new Stream(client.FullDuplexCall(metadata, options()));
        stream.call.write(outputRequest(LARGE_RESPONSE, LARGE_REQUEST));
        stream.call.end();
        expectZeros(await stream.next(), LARGE_RESPONSE);
        await stream.expectEnd();
        expectEcho(await stream.initial, (await stream.status).metadata);
    },

    async status_code_and_message(client) {
        const request = { response_status: { code: 2, message: 'test status message' } };
        await expectFailure(single(client, 'UnaryCall', request), grpc.status.UNKNOWN, 'test status message');

        const stream = new Stream(client.FullDuplexCall(new grpc.Metadata(), options()));
        stream.call.write(request);
        stream.call.end();
        await stream.expectFailure(grpc.status.UNKNOWN, 'test status message');
    },

    async special_status_message(client) {
        const request = { response_status: { code: 2, message: SPECIAL_MESSAGE } };
        await expectFailure(single(client, 'UnaryCall', request), grpc.status.UNKNOWN, SPECIAL_MESSAGE);
    },

    async unimplemented_method(client) {
        await expectFailure(single(client, 'UnimplementedCall', {}), grpc.status.UNIMPLEMENTED);
    },

    async unimplemented_service() {
        await withClient(UnimplementedService, {}, (client) =>
            expectFailure(single(client, 'UnimplementedCall', {}), grpc.status.UNIMPLEMENTED));
    },

    async cancel_after_begin(client) {
        await expectFailure(new Promise((resolve, reject) => {
            const call = client.StreamingInputCall(new grpc.Metadata(), options(),
                (error, answer) => error ? reject(error) : resolve(answer));
            call.cancel();
        }), grpc.status.CANCELLED);
    },

    async cancel_after_first_response(client) {
        const stream = new Stream(client.FullDuplexCall(new grpc.Metadata(), options()));
        stream.call.write(outputRequest(31415, 27182));
        expectZeros(await stream.next(), 31415);
        stream.call.cancel();
        await stream.expectFailure(grpc.status.CANCELLED);
    },

    async timeout_on_sleeping_server(client) {
        const stream = new Stream(client.FullDuplexCall(new grpc.Metadata(), { deadline: Date.now() + 1 }));
        stream.call.write({ payload: payload(27182) });
        await stream.expectFailure(grpc.status.DEADLINE_EXCEEDED);
    },

    // What gRPC-core sends for Unix sockets since 1.57.
    async authority_path_is_reset() {
        await withClient(TestService, { 'grpc.default_authority': encodeURIComponent(socket) }, (client) =>
            expectFailure(single(client, 'EmptyCall', {}), grpc.status.INTERNAL));
    },

    async authority_localhost_works() {
        await withClient(TestService, { 'grpc.default_authority': 'localhost' }, cases.empty_unary);
    },
};

async function withClient(Service, channelOptions, use) {
    const client = new Service(`unix:${socket}`, grpc.credentials.createInsecure(), channelOptions);
    try {
        await use(client);
    } finally {
        client.close();
    }
}

async function main() {
    let failed = 0;
    await withClient(TestService, {}, async (client) => {
        for (const [name, test] of Object.entries(cases)) {
            try {
                await test(client);
                console.log(`ok ${name}`);
            } catch (error) {
                failed++;
                console.log(`FAILED ${name}: ${error.stack}`);
            }
        }
    });
    console.log(`${Object.keys(cases).length - failed} passed, ${failed} failed`);
    // A call that is cancelled before its stream is open is never reset by grpc-js: Node.js would wait for its deadline.
    process.exit(failed ? 1 : 0);
}

main();
