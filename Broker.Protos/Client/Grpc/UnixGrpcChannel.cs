using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using BarBroker.Grpc;
using BarBroker.Grpc.Health.V1;
using BarBroker.Unix;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>One connection to a broker: gRPC calls, and the descriptors that come with their replies. It never reconnects.</summary>
/// <remarks>
/// Neither end asks the other whether it lives: a process that sits in a debugger keeps its connection. .NET's HTTP/2 sends pings of
/// another kind all the same, to measure the round trip by which it sizes its receive windows: a few when the first data arrives, then at
/// most one in two seconds, and only with data that comes. Nothing waits for their answers. The window of a stream grows up to 16 MiB for an
/// application that reads fast; one that does not read holds 64 KiB for each stream. Only a switch for the whole process turns both off
/// (<c>System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing</c>); that is the program's to set, not a library's.
/// </remarks>
internal sealed partial class UnixGrpcChannel : IAsyncDisposable
{
    // HTTP needs a host; a Unix socket has none. Every gRPC server takes this one.
    private const string Authority = "http://localhost";

    // A queue of connections that stays full for longer than this is a broker that hangs, or a flood that its log tells of.
    private static readonly TimeSpan QueuePatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan QueuePause = TimeSpan.FromMilliseconds(10);

    private readonly CancellationTokenSource _closed = new();
    private readonly ConcurrentDictionary<string, Uri> _methods = new(StringComparer.Ordinal);
    private readonly DescriptorStream _stream;
    private readonly HttpMessageInvoker _invoker;
    private readonly TimeProvider _timeProvider;
    private int _connected;
    private int _over;

    private UnixGrpcChannel(Socket socket, TimeProvider timeProvider)
    {
        _timeProvider = timeProvider;
        _stream = new DescriptorStream(socket, Descriptors, OnClosed);
        _invoker = new HttpMessageInvoker(CreateHandler());
        Closed = _closed.Token;
    }

    /// <summary>Is cancelled once the connection is over, whoever ended it.</summary>
    public CancellationToken Closed { get; }

    /// <summary>What arrived on the socket.</summary>
    public DescriptorInbox Descriptors { get; } = new();

    /// <summary>Connects, and makes sure that a gRPC server answers.</summary>
    /// <exception cref="RpcException">UNAVAILABLE: there is no such socket, nobody listens, or permission is missing; the message says which.</exception>
    public static Task<UnixGrpcChannel> ConnectAsync(string socketPath, CancellationToken cancellationToken) =>
        ConnectAsync(socketPath, TimeProvider.System, cancellationToken);

    /// <inheritdoc cref="ConnectAsync(string, CancellationToken)"/>
    internal static async Task<UnixGrpcChannel> ConnectAsync(string socketPath, TimeProvider timeProvider, CancellationToken cancellationToken)
    {
        UnixGrpcChannel channel = Create(await ConnectSocketAsync(socketPath, timeProvider, cancellationToken), timeProvider);
        try
        {
            await channel.GreetAsync(cancellationToken);
            return channel;
        }
        catch
        {
            await channel.DisposeAsync();
            throw;
        }
    }

    /// <summary>One request, one response.</summary>
    /// <param name="method">Full name: <c>/barbroker.v1.Broker/Acquire</c>.</param>
    /// <param name="request">The message.</param>
    /// <param name="options">Deadline, headers, cancellation.</param>
    /// <exception cref="RpcException">The call failed. Giving up is CANCELLED, a deadline DEADLINE_EXCEEDED, a lost connection UNAVAILABLE.</exception>
    public async Task<TResponse> UnaryAsync<TRequest, TResponse>(string method, TRequest request, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new()
    {
        using ClientCall call = Start(method, new MessageContent(request), options);
        (bool found, TResponse? response) = await call.ReadAsync(MessageParserOf<TResponse>.Instance);
        if (!found)
        {
            throw new RpcException(ChannelStatuses.ResponseMissing);
        }

        // The status comes after the message.
        (bool another, _) = await call.ReadAsync(MessageParserOf<TResponse>.Instance);
        return another ? throw new RpcException(ChannelStatuses.ResponseExtra) : response!;
    }

    /// <summary>One request, many responses. Ending the enumeration early cancels the call.</summary>
    /// <inheritdoc cref="UnaryAsync"/>
    public async IAsyncEnumerable<TResponse> ServerStreamingAsync<TRequest, TResponse>(string method, TRequest request, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new()
    {
        using ClientCall call = Start(method, new MessageContent(request), options);
        while (true)
        {
            (bool found, TResponse? response) = await call.ReadAsync(MessageParserOf<TResponse>.Instance);
            if (!found)
            {
                yield break;
            }

            yield return response!;
        }
    }

    /// <summary>Closes the connection; calls under way fail with UNAVAILABLE.</summary>
    public async ValueTask DisposeAsync()
    {
        // The stream first: the handler alone would wait for calls under way.
        await _stream.DisposeAsync();
        _invoker.Dispose();
    }

    private static UnixGrpcChannel Create(Socket socket, TimeProvider timeProvider)
    {
        try
        {
            return new UnixGrpcChannel(socket, timeProvider);
        }
        catch (UnixException exception)
        {
            socket.Dispose();
            throw new RpcException(
                new Status(StatusCode.Unavailable, $"This process can't wait for what the broker sends: {exception.Message}. It may be out of descriptors (RLIMIT_NOFILE)."),
                innerException: exception);
        }
    }

    private static async Task<Socket> ConnectSocketAsync(string path, TimeProvider timeProvider, CancellationToken cancellationToken)
    {
        long start = timeProvider.GetTimestamp();
        while (true)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
                return socket;
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.WouldBlock && timeProvider.GetElapsedTime(start) < QueuePatience)
            {
                // Others connect faster than the broker accepts, and nothing tells when there is room.
                socket.Dispose();
                await Task.Delay(QueuePause, timeProvider, cancellationToken);
            }
            catch (Exception exception)
            {
                socket.Dispose();
                if (exception is SocketException or ArgumentOutOfRangeException)
                {
                    throw new RpcException(new Status(StatusCode.Unavailable, Explain(path, exception)), innerException: exception);
                }

                throw;
            }
        }
    }

    private static string Explain(string path, Exception exception) => (exception as SocketException)?.SocketErrorCode switch
    {
        null => $"'{path}' can't be the path of a Unix socket: those have 1 to 107 bytes.",
        SocketError.ConnectionRefused => $"Nobody listens on {path}: the broker is not running. Start it.",
        SocketError.AccessDenied when IsOwnersAlone(path) => $"This process may not connect to {path}: it is its owner's alone, the broker's user or root. Become that user.",
        SocketError.AccessDenied => $"This process may not connect to {path}: its user must be in the socket's group. Sign in again after joining it.",
        SocketError.WouldBlock => $"The broker at {path} has too many connections waiting. Try again.",
        _ when !Path.Exists(path) => $"There is no socket {path}: the broker is not running, or uses another directory.",
        _ => $"Connecting to {path} failed: {exception.Message}.",
    };

    private static bool IsOwnersAlone(string path)
    {
        try
        {
            return (File.GetUnixFileMode(path) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Its directory is closed, too: who may open that is not for us to tell.
            return false;
        }
    }

    private SocketsHttpHandler CreateHandler() => new()
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
        EnableMultipleHttp2Connections = false,

        // A lease lives as long as its connection: nothing may end a quiet one.
        PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
        PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
        ConnectCallback = (_, _) => Interlocked.Exchange(ref _connected, 1) == 0
            ? ValueTask.FromResult<Stream>(_stream)
            : ValueTask.FromException<Stream>(new IOException("The connection is over, and this channel makes no other.")),
    };

    /// <summary>HTTP/2 speaks only with its first request, and the broker closes connections that stay silent. So one goes out at once.</summary>
    private async Task GreetAsync(CancellationToken cancellationToken)
    {
        try
        {
            await UnaryAsync<HealthCheckRequest, HealthCheckResponse>(
                "/grpc.health.v1.Health/Check", new HealthCheckRequest(), new CallOptions(CancellationToken: cancellationToken));
        }
        catch (RpcException exception) when (exception.StatusCode is StatusCode.Unimplemented or StatusCode.NotFound)
        {
            // A gRPC server, then: what it serves, the calls will tell.
        }
        catch (RpcException exception) when (exception.Status == ChannelStatuses.ConnectionOver)
        {
            throw new RpcException(ChannelStatuses.NotTaken, innerException: exception);
        }
    }

    private ClientCall Start(string method, RequestContent content, CallOptions options) =>
        ClientCall.Start(
            _invoker, _methods.GetOrAdd(method, static method => new Uri(Authority + method)), content, options, _timeProvider, _stream);

    private void OnClosed()
    {
        if (Interlocked.Exchange(ref _over, 1) == 0)
        {
            Descriptors.Close();

            // On a thread of its own: what listens is not the reader's.
            ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
        }
    }
}
