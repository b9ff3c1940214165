using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>One call under way. Disposing it before its end cancels it.</summary>
internal sealed class ClientCall : IDisposable
{
    private const int MaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>Timers take no more; a deadline that far away is none.</summary>
    private static readonly TimeSpan MaxTimer = TimeSpan.FromDays(24);

    private readonly CallOptions _options;
    private readonly CancellationTokenSource? _deadline;
    private readonly CancellationTokenSource? _either;
    private readonly DescriptorStream _connection;
    private HttpResponseMessage? _response;
    private MessageReader? _reader;

    private ClientCall(CallOptions options, TimeSpan? timeout, TimeProvider timeProvider, DescriptorStream connection)
    {
        _options = options;
        _connection = connection;
        if (timeout < MaxTimer)
        {
            _deadline = new CancellationTokenSource(timeout.Value, timeProvider);
            _either = options.CancellationToken.CanBeCanceled
                ? CancellationTokenSource.CreateLinkedTokenSource(_deadline.Token, options.CancellationToken)
                : null;
        }
    }

    private CancellationToken Token => _either?.Token ?? _deadline?.Token ?? _options.CancellationToken;

    /// <summary>Sends the request, and waits for the headers of the response.</summary>
    /// <exception cref="RpcException">The call failed already.</exception>
    internal static async Task<ClientCall> StartAsync(
        HttpMessageInvoker invoker, Uri method, IMessage request, CallOptions options, TimeProvider timeProvider, DescriptorStream connection)
    {
        TimeSpan? timeout = options.Deadline - timeProvider.GetUtcNow();
        if (timeout <= TimeSpan.Zero)
        {
            throw new RpcException(ChannelStatuses.DeadlineExceeded);
        }

        ClientCall call = new(options, timeout, timeProvider, connection);
        try
        {
            using HttpRequestMessage message = CreateRequest(method, request, timeout, options.Headers);
            call._response = await invoker.SendAsync(message, call.Token);
            call.CheckHeaders();
            call._reader = new MessageReader(await call._response.Content.ReadAsStreamAsync(call.Token), MaxReceiveMessageSize);
            return call;
        }
        catch (Exception exception)
        {
            RpcException translated = call.Translate(exception);
            call.Dispose();
            throw translated;
        }
    }

    /// <summary>The next message, or the end of a call that succeeded.</summary>
    /// <exception cref="RpcException">The call failed.</exception>
    internal async ValueTask<(bool Found, T? Message)> ReadAsync<T>(MessageParser<T> parser)
        where T : IMessage<T>
    {
        try
        {
            (bool found, T? message) = await _reader!.ReadAsync(parser, Token);
            if (!found)
            {
                ThrowUnlessOk(_response!.TrailingHeaders);
            }

            return (found, message);
        }
        catch (Exception exception)
        {
            throw Translate(exception);
        }
    }

    public void Dispose()
    {
        _response?.Dispose();
        _reader?.Dispose();
        _either?.Dispose();
        _deadline?.Dispose();
    }

    private static HttpRequestMessage CreateRequest(Uri method, IMessage request, TimeSpan? timeout, Metadata? headers)
    {
        HttpRequestMessage message = new(HttpMethod.Post, method)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new MessageContent(request),
        };
        message.Headers.TryAddWithoutValidation("te", "trailers");
        if (timeout is { } left)
        {
            message.Headers.TryAddWithoutValidation(GrpcProtocol.TimeoutHeader, GrpcTimeout.Format(left));
        }

        if (headers is not null)
        {
            foreach (Metadata.Entry entry in headers)
            {
                message.Headers.TryAddWithoutValidation(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.ValueBytes) : entry.Value);
            }
        }

        return message;
    }

    /// <summary>A status in the headers is the whole answer; without one, HTTP's own status must be 200 and the content gRPC's.</summary>
    private void CheckHeaders()
    {
        if (_response!.Headers.NonValidated.Contains(GrpcProtocol.StatusHeader))
        {
            ThrowUnlessOk(_response.Headers);
            return;
        }

        if (_response.StatusCode != HttpStatusCode.OK)
        {
            throw new RpcException(new Status(
                ChannelStatuses.FromHttp(_response.StatusCode), $"The server answered with HTTP status {(int)_response.StatusCode}."));
        }

        string? contentType = _response.Content.Headers.ContentType?.ToString();
        if (!GrpcProtocol.IsGrpcContentType(contentType))
        {
            throw new RpcException(new Status(StatusCode.Unknown, $"The server answered with content type '{contentType}', which is not gRPC's."));
        }
    }

    private static void ThrowUnlessOk(HttpResponseHeaders headers)
    {
        if (!headers.NonValidated.TryGetValues(GrpcProtocol.StatusHeader, out HeaderStringValues text))
        {
            throw new RpcException(ChannelStatuses.StatusMissing);
        }

        string number = text.ToString();
        if (number == "0")
        {
            return;
        }

        StatusCode code = int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            && value is > 0 and <= (int)StatusCode.Unauthenticated
                ? (StatusCode)value
                : StatusCode.Unknown;
        string detail = headers.NonValidated.TryGetValues(GrpcProtocol.MessageHeader, out HeaderStringValues message)
            ? PercentEncoding.Decode(message.ToString())
            : string.Empty;
        throw new RpcException(new Status(code, detail), ReadMetadata(headers));
    }

    private static Metadata ReadMetadata(HttpResponseHeaders headers)
    {
        Metadata metadata = [];
        foreach ((string name, HeaderStringValues values) in headers.NonValidated)
        {
            if ((GrpcProtocol.IsReserved(name) && !name.Equals(ErrorDetails.Key, StringComparison.OrdinalIgnoreCase)) || !Metadata.IsValidKey(name))
            {
                continue;
            }

            foreach (string value in values)
            {
                if (!name.EndsWith(GrpcProtocol.BinarySuffix, StringComparison.OrdinalIgnoreCase))
                {
                    if (Metadata.IsValidValue(value))
                    {
                        metadata.Add(name, value);
                    }
                }
                else
                {
                    // The status is good without it.
                    BinaryHeader.TryAddTo(metadata, name, value);
                }
            }
        }

        return metadata;
    }

    /// <summary>Any failure as a status. The deadline comes first: what else happened then happened because of it.</summary>
    private RpcException Translate(Exception exception)
    {
        bool cancelled = exception is OperationCanceledException
            || exception is RpcException { StatusCode: StatusCode.Cancelled }
            || FindReset(exception) is { } reset && ChannelStatuses.FromReset(reset.ErrorCode) == StatusCode.Cancelled;
        if (cancelled && _deadline is { IsCancellationRequested: true })
        {
            return new RpcException(ChannelStatuses.DeadlineExceeded, innerException: exception);
        }

        if (exception is RpcException status)
        {
            return status;
        }

        if (_options.CancellationToken.IsCancellationRequested)
        {
            return new RpcException(ChannelStatuses.Cancelled, innerException: exception);
        }

        // After a GOAWAY, HTTP reports the end of the connection by the GOAWAY's code.
        if (!_connection.IsOver && FindReset(exception) is { } protocol)
        {
            return new RpcException(
                new Status(ChannelStatuses.FromReset(protocol.ErrorCode), $"The server reset the call with HTTP/2 error {protocol.ErrorCode}."),
                innerException: exception);
        }

        return ChannelStatuses.ConnectionLost(exception);
    }

    private static HttpProtocolException? FindReset(Exception? exception)
    {
        for (; exception is not null; exception = exception.InnerException)
        {
            if (exception is HttpProtocolException protocol)
            {
                return protocol;
            }
        }

        return null;
    }
}
