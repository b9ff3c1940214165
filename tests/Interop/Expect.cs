using BarBroker.Grpc;
using BarBroker.Grpc.Testing;
using Google.Protobuf;

namespace BarBroker.Interop;

/// <summary>What a case may find wrong.</summary>
internal static class Expect
{
    internal static void Equal<T>(T wanted, T? found)
    {
        if (!EqualityComparer<T>.Default.Equals(wanted, found))
        {
            throw new InvalidOperationException($"'{found}' instead of '{wanted}'.");
        }
    }

    internal static void Zeros(int size, Payload? payload)
    {
        if (payload is null || payload.Body.Length != size || payload.Body.Span.ContainsAnyExcept((byte)0))
        {
            throw new InvalidOperationException($"The payload has {payload?.Body.Length} bytes instead of {size}, or not all are zero.");
        }
    }

    /// <summary>The metadata that a case sent, where it must come back.</summary>
    internal static void Echo(Metadata headers, Metadata trailers)
    {
        Equal(Cases.InitialValue, headers.GetValue(TestService.InitialKey));
        Equal(ByteString.CopyFrom(Cases.TrailingValue), ByteString.CopyFrom(trailers.GetValueBytes(TestService.TrailingKey) ?? []));
    }

    /// <summary>The call must fail with this status.</summary>
    internal static async Task FailureAsync(Func<Task> callAsync, StatusCode code, string? message = null)
    {
        try
        {
            await callAsync();
        }
        catch (RpcException exception)
        {
            Equal(code, exception.StatusCode);
            Equal(message ?? exception.Status.Detail, exception.Status.Detail);
            return;
        }

        throw new InvalidOperationException($"The call succeeded, instead of failing with {code}.");
    }
}
