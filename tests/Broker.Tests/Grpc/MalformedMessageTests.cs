using BarBroker.Grpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Bytes that are no message are the client's mistake, however the parser puts it.</summary>
public sealed class MalformedMessageTests
{
    [Fact]
    public async Task A_nested_length_beyond_31_bits_is_no_message_and_no_error_of_the_server()
    {
        await using TestHost host = await TestHost.StartAsync();
        using RawClient client = new(host.SocketPath);

        // ServerReflectionRequest.file_containing_extension, some length, and in it a number that does not end.
        byte[] message = [0x2a, 0xff, 0xff, 0xff, 0xff, 0xf7, 0x00, 0x10, 0x80];
        RawResponse response = await client.PostAsync("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", RawClient.Frame(0, (uint)message.Length, message));

        Assert.Equal(StatusCode.Internal, response.Status);
    }
}
