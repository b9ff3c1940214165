using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Rpc;
using BarBroker.Unix;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Tests.Grpc;

/// <summary>A service of all four kinds whose handlers a test sets. Its messages are borrowed: a number and a text each way.</summary>
internal sealed class TestService : IGrpcService
{
    internal const string Name = "barbroker.test.Test";
    internal const string UnaryPath = "/barbroker.test.Test/Unary";
    internal const string DescriptorPath = "/barbroker.test.Test/TakeDescriptor";
    internal const string ClientStreamPath = "/barbroker.test.Test/ClientStream";
    internal const string ServerStreamPath = "/barbroker.test.Test/ServerStream";
    internal const string TimedStreamPath = "/barbroker.test.Test/TimedStream";
    internal const string DuplexPath = "/barbroker.test.Test/Duplex";

    internal UnaryServerMethod<ErrorResponse, ErrorResponse> OnUnary { get; set; } = static (request, _) => Task.FromResult(request);

    /// <summary>Answers with the descriptor's number as error_code and its inode as error_message.</summary>
    internal UnaryServerMethod<ErrorResponse, ErrorResponse> OnTakeDescriptor { get; set; } = static (request, context) =>
    {
        OwnedDescriptor descriptor = TestDescriptors.Create();
        ulong inode = Files.InodeOf(descriptor);
        ulong serial = context.Connection.QueueDescriptor(descriptor);
        return Task.FromResult(new ErrorResponse { ErrorCode = (int)serial, ErrorMessage = inode.ToString(System.Globalization.CultureInfo.InvariantCulture) });
    };

    internal ClientStreamingServerMethod<ErrorResponse, ErrorResponse> OnClientStream { get; set; } = static async (requests, _) =>
    {
        int sum = 0;
        await foreach (ErrorResponse request in requests)
        {
            sum += request.ErrorCode;
        }

        return new ErrorResponse { ErrorCode = sum };
    };

    internal ServerStreamingServerMethod<ErrorResponse, ErrorResponse> OnServerStream { get; set; } = static async (request, responses, context) =>
    {
        for (int i = 0; i < request.ErrorCode; i++)
        {
            await responses.WriteAsync(new ErrorResponse { ErrorCode = i, ErrorMessage = request.ErrorMessage }, context.CancellationToken);
        }
    };

    internal DuplexStreamingServerMethod<ErrorResponse, ErrorResponse> OnDuplex { get; set; } = static async (requests, responses, context) =>
    {
        await foreach (ErrorResponse request in requests)
        {
            await responses.WriteAsync(request, context.CancellationToken);
        }
    };

    internal ServerStreamingServerMethod<ErrorResponse, TimedMessage> OnTimedStream { get; set; } = static (_, _, _) => Task.CompletedTask;

    public ServiceDescriptor Descriptor { get; } = CreateDescriptor();

    public void Bind(IServiceBinder binder)
    {
        binder.Unary<ErrorResponse, ErrorResponse>("Unary", (request, context) => OnUnary(request, context));
        binder.Unary<ErrorResponse, ErrorResponse>("TakeDescriptor", (request, context) => OnTakeDescriptor(request, context));
        binder.ClientStreaming<ErrorResponse, ErrorResponse>("ClientStream", (requests, context) => OnClientStream(requests, context));
        binder.ServerStreaming<ErrorResponse, ErrorResponse>("ServerStream", (request, responses, context) => OnServerStream(request, responses, context));
        binder.ServerStreaming<ErrorResponse, TimedMessage>("TimedStream", (request, responses, context) => OnTimedStream(request, responses, context));
        binder.DuplexStreaming<ErrorResponse, ErrorResponse>("Duplex", (requests, responses, context) => OnDuplex(requests, responses, context));
    }

    private static ServiceDescriptor CreateDescriptor()
    {
        FileDescriptor messages = Reflection.Descriptor;
        string message = "." + ErrorResponse.Descriptor.FullName;
        FileDescriptorProto file = new()
        {
            Name = "barbroker/test/test.proto",
            Package = "barbroker.test",
            Syntax = "proto3",
            Dependency = { messages.Name },
            Service =
            {
                new ServiceDescriptorProto
                {
                    Name = "Test",
                    Method =
                    {
                        Method("Unary", client: false, server: false),
                        Method("TakeDescriptor", client: false, server: false),
                        Method("ClientStream", client: true, server: false),
                        Method("ServerStream", client: false, server: true),
                        Method("TimedStream", client: false, server: true),
                        Method("Duplex", client: true, server: true),
                    },
                },
            },
        };
        return FileDescriptor.BuildFromByteStrings([messages.SerializedData, file.ToByteString()])[^1].Services[0];

        MethodDescriptorProto Method(string name, bool client, bool server) => new()
        {
            Name = name,
            InputType = message,
            OutputType = message,
            ClientStreaming = client,
            ServerStreaming = server,
        };
    }

    private static class Reflection
    {
        internal static FileDescriptor Descriptor => ErrorResponse.Descriptor.File;
    }
}
