using System.Net;
using BarBroker.Grpc;
using BarBroker.Rpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Requests that no proper client sends, each with the status that gRPC's specification names.</summary>
public sealed class MalformedCallTests
{
    private static readonly byte[] Empty = RawClient.Frame(0, 0);

    [Fact]
    public async Task A_well_formed_call_succeeds_with_status_and_trailers() => await ExpectAsync(StatusCode.OK, Empty);

    [Fact]
    public async Task A_flag_byte_that_is_neither_0_nor_1_is_INTERNAL() => await ExpectAsync(StatusCode.Internal, RawClient.Frame(2, 0));

    [Fact]
    public async Task A_compressed_message_without_an_encoding_is_INTERNAL() => await ExpectAsync(StatusCode.Internal, RawClient.Frame(1, 0));

    [Fact]
    public async Task A_compressed_message_with_identity_is_INTERNAL() =>
        await ExpectAsync(StatusCode.Internal, RawClient.Frame(1, 0), ("grpc-encoding", "identity"));

    [Fact]
    public async Task A_message_that_ends_early_is_INTERNAL() => await ExpectAsync(StatusCode.Internal, RawClient.Frame(0, 10, 1, 2, 3));

    [Fact]
    public async Task A_header_that_ends_early_is_INTERNAL() => await ExpectAsync(StatusCode.Internal, [0, 0, 0]);

    [Fact]
    public async Task A_message_that_is_no_protobuf_is_INTERNAL() => await ExpectAsync(StatusCode.Internal, RawClient.Frame(0, 2, 0xff, 0xff));

    [Fact]
    public async Task No_message_on_a_unary_call_is_UNIMPLEMENTED() => await ExpectAsync(StatusCode.Unimplemented, []);

    [Fact]
    public async Task A_second_message_on_a_unary_call_is_UNIMPLEMENTED() => await ExpectAsync(StatusCode.Unimplemented, [.. Empty, .. Empty]);

    [Fact]
    public async Task A_message_over_the_limit_is_RESOURCE_EXHAUSTED_before_it_is_read()
    {
        RawResponse response = await ExpectAsync(StatusCode.ResourceExhausted, RawClient.Frame(0, uint.MaxValue, 1));

        Assert.Contains("4294967295 bytes", response.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_of_exactly_the_limit_is_taken()
    {
        // Field 2, a string, with a length of three bytes: 4 bytes of tag and length, then the text.
        byte[] text = new byte[65_536 - 4];
        text.AsSpan().Fill((byte)'x');
        byte[] message = [0x12, .. EncodeVarint(text.Length), .. text];
        Assert.Equal(65_536, message.Length);

        RawResponse response = await ExpectAsync(StatusCode.OK, RawClient.Frame(0, 65_536, message));

        Assert.Equal(65_536 + MessageFrame.HeaderSize, response.Body.Length);
    }

    [Fact]
    public async Task A_message_of_one_byte_more_is_not() =>
        await ExpectAsync(StatusCode.ResourceExhausted, RawClient.Frame(0, 65_537, new byte[65_537]));

    [Fact]
    public async Task Requests_that_their_callers_break_off_are_no_faults_of_the_server()
    {
        // Its end checks that nothing was logged from Warning up.
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);
        await Task.WhenAll(Enumerable.Range(0, 100).Select(async _ =>
        {
            using BrokenOffContent content = new();
            using HttpRequestMessage request = RawClient.CreateRequest("/grpc.health.v1.Health/Check", content);
            await Assert.ThrowsAnyAsync<Exception>(() => client.SendAsync(request));
        }));

        // The streams of the calls are over once a stop returns.
        await host.Server.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task An_unknown_encoding_is_UNIMPLEMENTED_and_names_what_is_taken()
    {
        RawResponse response = await ExpectAsync(StatusCode.Unimplemented, Empty, ("grpc-encoding", "gzip"));

        Assert.Equal("identity", response.Headers["grpc-accept-encoding"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("S")]
    [InlineData("-1S")]
    [InlineData("123456789S")]
    [InlineData("1s")]
    [InlineData("1.5S")]
    public async Task A_malformed_timeout_is_INTERNAL(string timeout) => await ExpectAsync(StatusCode.Internal, Empty, ("grpc-timeout", timeout));

    [Fact]
    public async Task A_timeout_of_zero_is_DEADLINE_EXCEEDED() => await ExpectAsync(StatusCode.DeadlineExceeded, Empty, ("grpc-timeout", "0n"));

    [Fact]
    public async Task A_longest_timeout_is_taken() => await ExpectAsync(StatusCode.OK, Empty, ("grpc-timeout", "99999999H"));

    [Theory]
    [InlineData("/barbroker.test.Test/unary", "no method \"unary\"")]
    [InlineData("/barbroker.test.test/Unary", "no service \"barbroker.test.test\"")]
    [InlineData("/barbroker.test.Test/", "no method \"\"")]
    [InlineData("/", "no service")]
    [InlineData("/a/b/c", "no service \"a/b\"")]
    public async Task An_unknown_path_is_UNIMPLEMENTED_in_a_single_header_block(string path, string expected)
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(path, Empty);

        Assert.Equal(StatusCode.Unimplemented, response.Status);
        Assert.True(response.TrailersOnly);
        Assert.Contains(expected, response.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_peer_names_is_told_back_in_short()
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);

        // Percent-encoding makes nine bytes of each of these, and clients take headers of some 8 KiB. Of a path less gets here in the first place.
        string text = new('€', 700);
        string path = Uri.EscapeDataString(text[..100]);
        byte[] service = [0x0a, 0xb4, 0x10, .. System.Text.Encoding.UTF8.GetBytes(text)];
        RawResponse[] responses =
        [
            await client.PostAsync("/" + path, Empty),
            await client.PostAsync($"/{TestService.Name}/{path}", Empty),
            await client.PostAsync(TestService.UnaryPath, Empty, ("grpc-encoding", new string('%', 5000))),
            await client.PostAsync("/grpc.health.v1.Health/Check", RawClient.Frame(0, (uint)service.Length, service)),
        ];

        Assert.Equal(
            [StatusCode.Unimplemented, StatusCode.Unimplemented, StatusCode.Unimplemented, StatusCode.NotFound],
            responses.Select(static response => response.Status));
        Assert.All(responses, static response => Assert.InRange(response.Headers[GrpcProtocol.MessageHeader].Length, 80, 1024));
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/grpcx")]
    [InlineData("text/plain")]
    public async Task Another_content_type_is_HTTP_415(string contentType)
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.UnaryPath, Empty, ("content-type", contentType));

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.Http);
    }

    [Theory]
    [InlineData("application/grpc+proto")]
    [InlineData("application/grpc;charset=utf-8")]
    public async Task A_gRPC_content_type_with_a_suffix_is_taken(string contentType) =>
        await ExpectAsync(StatusCode.OK, Empty, ("content-type", contentType));

    [Fact]
    public async Task Another_HTTP_method_is_405()
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);
        using HttpRequestMessage request = RawClient.CreateRequest(TestService.UnaryPath, new ByteArrayContent(Empty));
        request.Method = HttpMethod.Put;

        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await client.SendAsync(request)).Http);
    }

    [Fact]
    public async Task Binary_metadata_is_taken_padded_unpadded_and_joined()
    {
        await using TestHost host = await TestHost.StartAsync();
        List<byte[]> seen = [];
        host.Service.OnUnary = (request, context) =>
        {
            foreach (Metadata.Entry entry in context.RequestHeaders)
            {
                if (entry.Key == "x-bin")
                {
                    seen.Add(entry.ValueBytes);
                }
            }

            return Task.FromResult(request);
        };
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.UnaryPath, Empty, ("x-bin", "AQ==,AQI,AQID"));

        Assert.Equal(StatusCode.OK, response.Status);
        Assert.Equal<byte[]>([[1], [1, 2], [1, 2, 3]], seen);
    }

    [Fact]
    public async Task Binary_metadata_that_is_no_base64_is_INTERNAL()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = (request, context) => Task.FromResult(context.RequestHeaders.Count == 0 ? request : new());
        using RawClient client = new(host.SocketPath);

        Assert.Equal(StatusCode.Internal, (await client.PostAsync(TestService.UnaryPath, Empty, ("x-bin", "!"))).Status);
    }

    private static async Task<RawResponse> ExpectAsync(StatusCode status, byte[] body, params (string, string)[] headers)
    {
        await using TestHost host = await TestHost.StartAsync(new GrpcServerOptions { Endpoints = [], MaxReceiveMessageSize = 65_536 });
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.UnaryPath, body, headers);

        Assert.Equal(HttpStatusCode.OK, response.Http);
        Assert.Equal(status, response.Status);
        return response;
    }

    private static byte[] EncodeVarint(int value) => [(byte)(value | 0x80), (byte)((value >> 7) | 0x80), (byte)(value >> 14)];

    /// <summary>The front of a message, and then a failure that makes the client reset the stream.</summary>
    private sealed class BrokenOffContent : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(RawClient.Frame(0, 1000, 1, 2, 3));
            await stream.FlushAsync();
            throw new InvalidOperationException("The caller has thought better of it.");
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
