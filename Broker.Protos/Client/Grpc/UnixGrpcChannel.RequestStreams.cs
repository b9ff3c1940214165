using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <content>Calls with a stream of requests.</content>
internal sealed partial class UnixGrpcChannel
{
    /// <summary>
    /// Many requests, one response. A server may answer before it has read them all: then the enumeration of <paramref name="requests"/> is
    /// cancelled by its token. What it throws otherwise cancels the call, and reaches the caller as it is.
    /// </summary>
    /// <param name="method">Full name: <c>/barbroker.v1.Broker/Acquire</c>.</param>
    /// <param name="requests">The messages; the next one is asked for when the server had room for the last.</param>
    /// <param name="options">Deadline, headers, cancellation, limits.</param>
    /// <exception cref="RpcException">The call failed. Giving up is CANCELLED, a deadline DEADLINE_EXCEEDED, a lost connection UNAVAILABLE.</exception>
    public async Task<TResponse> ClientStreamingAsync<TRequest, TResponse>(string method, IAsyncEnumerable<TRequest> requests, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new()
    {
        using DuplexCall<TRequest, TResponse> call = Duplex<TRequest, TResponse>(method, options);
        using CancellationTokenSource over = new();
        Task sending = SendAllAsync(call, requests, over.Token);
        try
        {
            TResponse response = await call.ReadAsync() ?? throw new RpcException(ChannelStatuses.ResponseMissing);

            // The status comes after the message.
            return await call.ReadAsync() is null ? response : throw new RpcException(ChannelStatuses.ResponseExtra);
        }
        finally
        {
            if (!sending.IsCompleted)
            {
                await over.CancelAsync();
                call.Cancel();
            }

            // Its own exception comes before that of the call, which it caused.
            await sending;
        }
    }

    /// <summary>Many requests, many responses, in any order.</summary>
    /// <param name="method">Full name: <c>/barbroker.v1.Broker/Acquire</c>.</param>
    /// <param name="options">Deadline, headers, cancellation, limits.</param>
    /// <returns>The call, under way. Dispose it.</returns>
    /// <exception cref="RpcException">DEADLINE_EXCEEDED: it has passed already. All else is told by the reads.</exception>
    public DuplexCall<TRequest, TResponse> Duplex<TRequest, TResponse>(string method, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new()
    {
        RequestStream requests = new();
        return new DuplexCall<TRequest, TResponse>(requests, Start(method, requests, options));
    }

    private static async Task SendAllAsync<TRequest, TResponse>(
        DuplexCall<TRequest, TResponse> call, IAsyncEnumerable<TRequest> requests, CancellationToken over)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new()
    {
        try
        {
            await foreach (TRequest request in requests.WithCancellation(over))
            {
                if (over.IsCancellationRequested || !await call.WriteAsync(request))
                {
                    return;
                }
            }

            await call.CompleteAsync();
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The answer is there: nobody needs the rest.
        }
        catch
        {
            call.Cancel();
            throw;
        }
    }
}
