using System.Net;
using BarBroker.Grpc;
using BarBroker.Rpc;
using Microsoft.Extensions.Logging;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Peers that mean harm. Whatever one does, the log has no error: that would be a fault of ours.</summary>
public sealed class HostilePeerTests
{
    private const int TooManyOutputOperations = 60;

    [Fact]
    public async Task A_flood_of_calls_that_are_reset_at_once_is_no_error_of_the_server_and_harms_nobody_else()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.ExpectedEvents.Add(TooManyOutputOperations);
        using FrameClient client = new(host.SocketPath);
        for (uint stream = 1; stream < 4000; stream += 2)
        {
            client.AddHeaders(stream, TestService.UnaryPath);
            client.Reset(stream);
        }

        client.Flush();
        using RawClient other = new(host.SocketPath);

        Assert.Equal(StatusCode.OK, (await other.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0))).Status);
        Assert.DoesNotContain(host.Log.Entries, entry => entry.Level > LogLevel.Warning);
    }

    [Fact]
    public async Task A_message_that_no_request_of_the_broker_comes_near_is_refused_before_it_is_read()
    {
        await using TestHost host = await TestHost.StartAsync(new GrpcServerOptions { Endpoints = [] });
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.UnaryPath, RawClient.Frame(0, (16 * 1024) + 1));

        Assert.Equal(StatusCode.ResourceExhausted, response.Status);
    }

    [Fact]
    public async Task Headers_are_taken_up_to_a_limit_that_clients_are_told()
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0), ("x", new string('x', 7 * 1024)));
        Assert.Equal(HttpStatusCode.OK, response.Http);

        // The server's settings come before its first answer, so this client knows them by now, and keeps to them.
        HttpRequestException refused = await Assert.ThrowsAsync<HttpRequestException>(
            () => client.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0), ("x", new string('x', 8 * 1024))));
        Assert.Contains("8192", refused.Message, StringComparison.Ordinal);
    }
}
