using System.Runtime.CompilerServices;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>
/// A call with requests of any number, and responses of any number. One write and one read may be under way at a time. What goes wrong is
/// told by the reads; writes only learn that there is no use in them. Disposing it before its end cancels it: await reads and writes first.
/// </summary>
internal sealed class DuplexCall<TRequest, TResponse> : IDisposable
    where TRequest : IMessage<TRequest>
    where TResponse : IMessage<TResponse>, new()
{
    private readonly RequestStream _requests;
    private readonly ClientCall _call;

    internal DuplexCall(RequestStream requests, ClientCall call)
    {
        _requests = requests;
        _call = call;
    }

    /// <summary>Sends a request; completes when the server had room for it.</summary>
    /// <returns>False when the call is over already. The next read says how it ended.</returns>
    /// <exception cref="InvalidOperationException">The last write is still under way, or the requests are complete.</exception>
    public Task<bool> WriteAsync(TRequest request) => _requests.WriteAsync(request, _call.Token);

    /// <summary>Half-closes: no request follows. The last write must have completed.</summary>
    public Task CompleteAsync()
    {
        _requests.Complete();
        return Task.CompletedTask;
    }

    /// <summary>Waits for the headers of the response, which a server may send before its first message.</summary>
    /// <returns>Its custom metadata; empty when the answer is a status alone.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public Task<Metadata> ReadHeadersAsync() => _call.ReadHeadersAsync();

    /// <summary>The next response; null after the last one of a call that succeeded.</summary>
    /// <exception cref="RpcException">The call failed. Giving up is CANCELLED, a deadline DEADLINE_EXCEEDED, a lost connection UNAVAILABLE.</exception>
    public async Task<TResponse?> ReadAsync() => (await _call.ReadAsync(MessageParserOf<TResponse>.Instance)).Message;

    /// <summary>Every response that is left. Ending the enumeration early does not end the call.</summary>
    /// <inheritdoc cref="ReadAsync"/>
    public async IAsyncEnumerable<TResponse> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static call => ((ClientCall)call!).Cancel(), _call);
        while (true)
        {
            (bool found, TResponse? response) = await _call.ReadAsync(MessageParserOf<TResponse>.Instance);
            if (!found)
            {
                yield break;
            }

            yield return response!;
        }
    }

    /// <summary>
    /// Gives up, also while a read or a write is under way: the read fails with CANCELLED. The server hears of it at once, or by
    /// <see cref="Dispose"/> when the requests are complete.
    /// </summary>
    public void Cancel() => _call.Cancel();

    public void Dispose() => _call.Dispose();
}
