using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Hostile;

/// <summary>What one user may have of everything, over all its connections.</summary>
public sealed class UserLimitTests
{
    private const int TooManyConnections = 109;
    private const int TooManySilent = 110;
    private const int DroppedCalls = 114;

    private static readonly UserLimits Generous = new(Connections: 100, ConnectionsPerUser: 50, SilentPerUser: 50, CallsPerUser: 50);

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Calls_beyond_the_users_limit_are_refused_with_a_sentence_until_one_ends()
    {
        await using TestHost host = await TestHost.StartAsync(users: Generous with { CallsPerUser = 2 });
        TaskCompletionSource[] begun = [NewSource(), NewSource()];
        TaskCompletionSource[] end = [NewSource(), NewSource()];
        int calls = -1;
        host.Service.OnUnary = async (request, context) =>
        {
            int call = Interlocked.Increment(ref calls);
            if (call < begun.Length)
            {
                begun[call].SetResult();
                await end[call].Task.WaitAsync(context.CancellationToken);
            }

            return request;
        };
        await using UnixGrpcChannel first = await host.ConnectAsync();
        await using UnixGrpcChannel second = await host.ConnectAsync();
        Task held = CallAsync(first);
        await begun[0].Task;
        Task alsoHeld = CallAsync(second);
        await begun[1].Task;

        foreach (UnixGrpcChannel channel in (UnixGrpcChannel[])[first, second])
        {
            RpcException refused = await Assert.ThrowsAsync<RpcException>(() => CallAsync(channel));
            Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
            Assert.EndsWith("have 2 calls under way, as many as one user may have here. Wait until some have ended.", refused.Status.Detail, StringComparison.Ordinal);
        }

        Assert.Equal(2, host.Counters.CallsRefused[RefusedCall.UserFull]);

        end[0].SetResult();
        await held;
        await CallAsync(second);
        end[1].SetResult();
        await alsoHeld;
    }

    [Fact]
    public async Task A_user_who_leaves_with_calls_under_way_again_and_again_gets_no_connection_for_a_while()
    {
        const int CallsAtOnce = 64;
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(timeProvider: time, users: Generous with { CallsPerUser = 1024, Pace = TestHost.Unpaced });
        host.ExpectedEvents.Add(DroppedCalls);
        await using UnixGrpcChannel stays = await host.ConnectAsync();

        // Calls that were answered are nobody's loss, and only they are this one's.
        for (int i = 0; i < CallsAtOnce; i++)
        {
            await using UnixGrpcChannel good = await host.ConnectAsync();
            await CallAsync(good);
        }

        SemaphoreSlim begun = new(0);
        SemaphoreSlim ended = new(0);
        host.Service.OnUnary = async (request, context) =>
        {
            begun.Release();
            try
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }
            finally
            {
                ended.Release();
            }

            return request;
        };
        for (int dropped = 0; dropped < TransportLimits.DroppedCallsPerWindow; dropped += CallsAtOnce)
        {
            Assert.Equal(0, host.Counters.ConnectionsRefused[RefusedConnection.UserDroppedCalls]);
            using FrameClient client = new(host.SocketPath);
            for (uint call = 0; call < CallsAtOnce; call++)
            {
                client.AddHeaders((2 * call) + 1, TestService.UnaryPath);
                client.AddData((2 * call) + 1, RawClient.Frame(0, 0), end: true);
            }

            client.Flush();
            await WaitAsync(begun, CallsAtOnce);
            client.Dispose();
            await WaitAsync(ended, CallsAtOnce);
        }

        await Assert.ThrowsAsync<RpcException>(host.ConnectAsync);
        Assert.Equal(1, host.Counters.ConnectionsRefused[RefusedConnection.UserDroppedCalls]);
        Assert.Contains($"left {TransportLimits.DroppedCallsPerWindow} calls under way", Assert.Single(host.Log.Entries).Message, StringComparison.Ordinal);

        host.Service.OnUnary = static (request, _) => Task.FromResult(request);
        await CallAsync(stays);
        time.Advance(TransportLimits.DroppedCallWindow);
        await (await host.ConnectAsync()).DisposeAsync();
    }

    [Fact]
    public async Task However_calls_end_none_stays_counted()
    {
        await using TestHost host = await TestHost.StartAsync(users: Generous with { CallsPerUser = 1 });
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        TaskCompletionSource<CancellationToken> begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Dictionary<string, UnaryServerMethod<ErrorResponse, ErrorResponse>> ends = new()
        {
            ["answered"] = static (request, _) => Task.FromResult(request),
            ["refused"] = static (_, _) => throw new RpcException(new Status(StatusCode.NotFound, "Not here.")),
            ["expired"] = static async (request, context) =>
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
                return request;
            },
        };
        foreach ((string how, UnaryServerMethod<ErrorResponse, ErrorResponse> handler) in ends)
        {
            host.Service.OnUnary = handler;
            TimeSpan? deadline = how == "expired" ? TimeSpan.FromMilliseconds(50) : null;
            await Record.ExceptionAsync(() => CallAsync(channel, deadline));
        }

        // A handler is told of a passed deadline after its caller: it may take a moment longer.
        host.Service.OnUnary = ends["answered"];
        RpcException? refused;
        do
        {
            refused = (RpcException?)await Record.ExceptionAsync(() => CallAsync(channel));
            TestToken.ThrowIfCancellationRequested();
        }
        while (refused?.StatusCode == StatusCode.ResourceExhausted);

        Assert.Null(refused);
    }

    [Fact]
    public async Task Connections_that_say_nothing_leave_room_for_those_that_speak()
    {
        await using TestHost host = await TestHost.StartAsync(users: Generous with { SilentPerUser = 2 });
        host.ExpectedEvents.Add(TooManySilent);
        using Socket first = await ConnectAsync(host);
        using Socket second = await ConnectAsync(host);

        using (Socket third = await ConnectAsync(host))
        {
            await third.SendAsync("P"u8.ToArray(), SocketFlags.None, TestToken);
            await EndAsync(third);
        }

        Assert.Equal(1, host.Counters.ConnectionsRefused[RefusedConnection.UserSilent]);
        await first.SendAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray(), SocketFlags.None, TestToken);

        // The server's SETTINGS come once it has read that.
        Assert.NotEqual(0, await first.ReceiveAsync(new byte[64], SocketFlags.None, TestToken));
        await using UnixGrpcChannel speaking = await host.ConnectAsync();
        await CallAsync(speaking);
    }

    [Fact]
    public async Task A_user_at_the_limit_of_connections_is_turned_away_and_told_of_in_one_line()
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider(), users: Generous with { ConnectionsPerUser = 1 });
        host.ExpectedEvents.Add(TooManyConnections);
        await using UnixGrpcChannel only = await host.ConnectAsync();
        for (int i = 0; i < 20; i++)
        {
            using Socket refused = await ConnectAsync(host);

            // One that says nothing is waited for, since it might have come with a ticket.
            await refused.SendAsync("P"u8.ToArray(), SocketFlags.None, TestToken);
            await EndAsync(refused);
        }

        Assert.Equal(20, host.Counters.ConnectionsRefused[RefusedConnection.UserFull]);
        Assert.Single(host.Log.Entries);
        await CallAsync(only);
    }

    [Fact]
    public async Task Descriptors_under_way_to_one_user_stay_below_its_part_of_the_budget()
    {
        await using TestHost host = await TestHost.StartAsync(
            new GrpcServerOptions { Endpoints = [], MaxDescriptorsUnderWay = 16, MaxDescriptorsUnderWayPerUser = 4 });
        host.Service.OnUnary = static (request, context) =>
        {
            for (int i = 0; i < request.ErrorCode; i++)
            {
                context.Connection.QueueDescriptor(TestDescriptors.Create());
            }

            return Task.FromResult(request);
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => CallAsync(channel, descriptors: 5));

        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.StartsWith("4 descriptors are under way to clients of this user", refused.Status.Detail, StringComparison.Ordinal);
        Assert.Equal(1, host.Counters.DescriptorsRefused[RefusedDescriptor.User]);

        // What the client has read is free again, but for what the kernel's numbers leave open.
        await CallAsync(channel, descriptors: 2);
    }

    /// <summary>The server closes the connection, with what was sent to it unread.</summary>
    private static async Task EndAsync(Socket socket)
    {
        try
        {
            Assert.Equal(0, await socket.ReceiveAsync(new byte[1], SocketFlags.None, TestToken));
        }
        catch (SocketException exception)
        {
            Assert.Equal(SocketError.ConnectionReset, exception.SocketErrorCode);
        }
    }

    private static async Task WaitAsync(SemaphoreSlim semaphore, int count)
    {
        for (int i = 0; i < count; i++)
        {
            await semaphore.WaitAsync(TestToken);
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static async Task<Socket> ConnectAsync(TestHost host)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(host.SocketPath), TestToken);
        return socket;
    }

    private static Task<ErrorResponse> CallAsync(UnixGrpcChannel channel, TimeSpan? deadline = null, int descriptors = 0) => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
        TestService.UnaryPath, new ErrorResponse { ErrorCode = descriptors }, new CallOptions(DateTimeOffset.UtcNow + deadline, CancellationToken: TestToken));
}
