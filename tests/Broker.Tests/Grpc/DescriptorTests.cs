using System.Globalization;
using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Grpc;

public sealed class DescriptorTests
{
    [Fact]
    public async Task A_descriptor_arrives_with_the_reply_that_names_it()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        using DescriptorInbox.AcquireScope acquire = channel.Descriptors.BeginAcquire();
        ErrorResponse reply = await channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.DescriptorPath, new ErrorResponse(), Options());

        Assert.Equal(0, reply.ErrorCode);
        using OwnedDescriptor descriptor = await ClaimAsync(channel, reply);
        Assert.False(descriptor.IsInvalid);
    }

    [Fact]
    public async Task Sixty_four_calls_at_once_each_get_their_own_descriptor()
    {
        const int Callers = 64;
        const int CallsEach = 50;
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        HashSet<int> serials = [];

        async Task CallAsync()
        {
            for (int i = 0; i < CallsEach; i++)
            {
                using DescriptorInbox.AcquireScope acquire = channel.Descriptors.BeginAcquire();
                ErrorResponse reply = await channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.DescriptorPath, new ErrorResponse(), Options());

                // Throws unless it is the file that the reply names.
                using OwnedDescriptor descriptor = await ClaimAsync(channel, reply);
                lock (serials)
                {
                    Assert.True(serials.Add(reply.ErrorCode));
                }
            }
        }

        await Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => CallAsync()));

        Assert.Equal(Callers * CallsEach, serials.Count);
    }

    private static CallOptions Options() => new(CancellationToken: TestContext.Current.CancellationToken);

    private static ValueTask<OwnedDescriptor> ClaimAsync(UnixGrpcChannel channel, ErrorResponse reply) => channel.Descriptors.ClaimAsync(
        (ulong)reply.ErrorCode, ulong.Parse(reply.ErrorMessage, CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
}
