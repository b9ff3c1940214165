using BarBroker.Client.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Peers that don't read, on many streams at once.</summary>
public sealed class FlowControlTests
{
    private const int Streams = 50;
    private const int MessageSize = 16 * 1024;
    private const long Window = 64 * 1024;
    private const long WindowAndBuffer = 2 * Window;

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Streams_that_a_client_does_not_read_hold_a_buffer_each_in_the_server()
    {
        await using TestHost host = await TestHost.StartAsync();
        Writers writers = new(host.Service);
        using FrameClient client = new(host.SocketPath);
        for (uint i = 0; i < Streams; i++)
        {
            client.AddHeaders((2 * i) + 1, TestService.ServerStreamPath);
            client.AddData((2 * i) + 1, RawClient.Frame(0, 0), end: true);
        }

        client.Flush();
        await writers.RestAsync(async () =>
        {
            client.AddPing();
            client.Flush();
            await client.ReadAsync(FrameType.Ping);
        });

        // The window is the connection's, shared by all; beyond it, each has the message that waits, and the next at most.
        Assert.InRange(writers.Written, Streams * MessageSize, Window + (2 * Streams * MessageSize));
    }

    [Fact]
    public async Task Streams_that_an_application_does_not_read_hold_a_window_each_and_hold_up_no_other_call()
    {
        await using TestHost host = await TestHost.StartAsync();
        Writers writers = new(host.Service);
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        List<IAsyncEnumerator<ErrorResponse>> unread = [];
        for (int i = 0; i < Streams; i++)
        {
            IAsyncEnumerator<ErrorResponse> responses = channel.ServerStreamingAsync<ErrorResponse, ErrorResponse>(
                TestService.ServerStreamPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken)).GetAsyncEnumerator(TestToken);
            Assert.True(await responses.MoveNextAsync());
            unread.Add(responses);
        }

        await writers.RestAsync(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken)));

        // The first message was read, and with it may have come what makes room for another window.
        Assert.InRange(writers.Written, Streams * MessageSize, Streams * 2 * WindowAndBuffer);
        foreach (IAsyncEnumerator<ErrorResponse> responses in unread)
        {
            await responses.DisposeAsync();
        }
    }

    /// <summary>Handlers that write for as long as there is room.</summary>
    private sealed class Writers
    {
        private static readonly ErrorResponse Message = new() { ErrorMessage = new string('x', MessageSize) };

        private long _written;

        internal Writers(TestService service)
        {
            service.OnServerStream = async (_, responses, context) =>
            {
                while (true)
                {
                    Interlocked.Add(ref _written, MessageSize);
                    await responses.WriteAsync(Message, context.CancellationToken);
                }
            };
        }

        /// <summary>Bytes that handlers gave away, the message that waits for room among them.</summary>
        internal long Written => Interlocked.Read(ref _written);

        /// <summary>They have come to rest when the connection goes round and round and nothing more is written.</summary>
        internal async Task RestAsync(Func<Task> roundTrip)
        {
            long before = -1;
            while (before != Written || before < Streams * MessageSize)
            {
                before = Written;
                for (int i = 0; i < 50; i++)
                {
                    await roundTrip();
                }
            }
        }
    }
}
