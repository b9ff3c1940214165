using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Deadlines at their worst moments.</summary>
public sealed class DeadlineTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_server_is_told_the_callers_deadline()
    {
        FakeTimeProvider time = new(DateTimeOffset.UnixEpoch.AddYears(50));
        await using TestHost host = await TestHost.StartAsync(timeProvider: time);
        DateTimeOffset? told = null;
        host.Service.OnUnary = (request, context) =>
        {
            told = context.Deadline;
            return Task.FromResult(request);
        };
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(host.SocketPath, time, TestToken);
        DateTimeOffset deadline = time.GetUtcNow().AddMinutes(90);

        await channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(deadline, CancellationToken: TestToken));

        Assert.Equal(deadline, told);
    }

    [Fact]
    public async Task A_deadline_that_has_passed_sends_nothing()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static (_, _) => throw new InvalidOperationException("It came through.");
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(DateTimeOffset.UtcNow.AddSeconds(-1), CancellationToken: TestToken)));

        Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);
    }

    [Fact]
    public async Task A_servers_CANCELLED_after_the_callers_deadline_is_DEADLINE_EXCEEDED()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(host.SocketPath, time, TestToken);
        host.Service.OnUnary = (_, _) =>
        {
            // The server's own clock stands still, so what it says is not its own DEADLINE_EXCEEDED.
            time.Advance(TimeSpan.FromMinutes(1));
            throw new RpcException(new Status(StatusCode.Cancelled, "The caller has gone."));
        };

        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(time.GetUtcNow().AddMinutes(1), CancellationToken: TestToken)));

        Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);
    }

    [Fact]
    public async Task A_servers_CANCELLED_before_the_callers_deadline_stays_CANCELLED()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static (_, _) => throw new RpcException(new Status(StatusCode.Cancelled, "Not today."));
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(DateTimeOffset.UtcNow.AddHours(1), CancellationToken: TestToken)));

        Assert.Equal((StatusCode.Cancelled, "Not today."), (failure.StatusCode, failure.Status.Detail));
    }

    [Fact]
    public async Task A_deadline_ends_a_call_whose_requests_are_still_coming()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource<bool> completed = new();
        host.Service.OnDuplex = async (requests, responses, context) =>
        {
            try
            {
                await foreach (ErrorResponse request in requests)
                {
                    await responses.WriteAsync(request, context.CancellationToken);
                }

                completed.SetResult(true);
            }
            finally
            {
                completed.TrySetResult(false);
            }
        };
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(host.SocketPath, time, TestToken);
        using DuplexCall<ErrorResponse, ErrorResponse> call = channel.Duplex<ErrorResponse, ErrorResponse>(
            TestService.DuplexPath, new CallOptions(time.GetUtcNow().AddMinutes(1), CancellationToken: TestToken));
        Assert.True(await call.WriteAsync(new ErrorResponse()));
        Assert.NotNull(await call.ReadAsync());

        time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(StatusCode.DeadlineExceeded, (await Assert.ThrowsAsync<RpcException>(call.ReadAsync)).StatusCode);
        Assert.False(await call.WriteAsync(new ErrorResponse()));
        Assert.False(await completed.Task.WaitAsync(TestToken));
    }

    [Fact]
    public async Task A_deadline_during_a_write_that_succeeds_ends_the_call_although_its_handler_goes_on()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(timeProvider: time);
        TaskCompletionSource release = new();
        host.Service.OnTimedStream = async (_, responses, _) =>
        {
            await responses.WriteAsync(new TimedMessage(() => time.Advance(TimeSpan.FromMinutes(1))), CancellationToken.None);
            await release.Task;
        };
        using RawClient client = new(host.SocketPath);

        // No deadline of its own here: only the server's answer can end the wait.
        RawResponse response = await client.PostAsync(TestService.TimedStreamPath, RawClient.Frame(0, 0), ("grpc-timeout", "1M"));
        release.SetResult();

        Assert.Equal(StatusCode.DeadlineExceeded, response.Status);
        Assert.Equal([0, 0, 0, 0, 0], response.Body);
    }
}

/// <summary>An empty message that tells when it is written.</summary>
internal sealed class TimedMessage(Action written) : IMessage<TimedMessage>, IBufferMessage
{
    public MessageDescriptor Descriptor => ErrorResponse.Descriptor;

    public int CalculateSize() => 0;

    public void InternalWriteTo(ref WriteContext output) => written();

    public void WriteTo(CodedOutputStream output) => throw new NotSupportedException();

    public void InternalMergeFrom(ref ParseContext input) => throw new NotSupportedException();

    public void MergeFrom(CodedInputStream input) => throw new NotSupportedException();

    public void MergeFrom(TimedMessage message) => throw new NotSupportedException();

    public TimedMessage Clone() => throw new NotSupportedException();

    public bool Equals(TimedMessage? other) => ReferenceEquals(this, other);

    public override bool Equals(object? obj) => ReferenceEquals(this, obj);

    public override int GetHashCode() => 0;
}
