using BarBroker.Client.Grpc;
using BarBroker.Grpc.Reflection.V1;

namespace BarBroker.Probe;

/// <summary>A stream that asks for the descriptors of the broker's largest file again and again, and gets some ten thousand bytes each time.</summary>
internal sealed class StreamLoad
{
    private readonly Task _run;
    private volatile bool _ending;
    private long _bytes;

    private StreamLoad(UnixGrpcChannel channel) => _run = Task.Run(() => RunAsync(channel));

    /// <summary>What is asked for.</summary>
    internal static ServerReflectionRequest Question { get; } = new() { FileContainingSymbol = "barbroker.v1.Broker" };

    /// <summary>So far.</summary>
    internal long Bytes => Interlocked.Read(ref _bytes);

    internal static StreamLoad Begin(UnixGrpcChannel channel) => new(channel);

    /// <summary>Returns after the last answer; throws what went wrong.</summary>
    internal Task EndAsync()
    {
        _ending = true;
        return _run;
    }

    private async Task RunAsync(UnixGrpcChannel channel)
    {
        using DuplexCall<ServerReflectionRequest, ServerReflectionResponse> call =
            channel.Duplex<ServerReflectionRequest, ServerReflectionResponse>("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", default);
        byte[]? first = null;
        while (!_ending)
        {
            await call.WriteAsync(Question);
            ServerReflectionResponse answer = await call.ReadAsync() ?? throw new InvalidDataException("The stream ended by itself.");
            byte[] file = answer.FileDescriptorResponse.FileDescriptorProto[0].ToByteArray();
            first ??= file;
            if (!file.AsSpan().SequenceEqual(first))
            {
                throw new InvalidDataException("The same question was answered in two ways.");
            }

            Interlocked.Add(ref _bytes, answer.CalculateSize());
        }

        await call.CompleteAsync();
        if (await call.ReadAsync() is not null)
        {
            throw new InvalidDataException("An answer that nobody asked for.");
        }
    }
}
