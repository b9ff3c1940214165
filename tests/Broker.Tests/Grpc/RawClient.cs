using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using BarBroker.Grpc;

namespace BarBroker.Tests.Grpc;

/// <summary>HTTP/2 requests of any shape, as no gRPC client would send them.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly HttpMessageInvoker _invoker;

    internal RawClient(string socketPath)
    {
        _invoker = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellationToken) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
    }

    /// <summary>One frame: a flag, a length, and bytes that need not be as many.</summary>
    internal static byte[] Frame(byte flag, uint length, params ReadOnlySpan<byte> message)
    {
        byte[] frame = new byte[MessageFrame.HeaderSize + message.Length];
        frame[0] = flag;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), length);
        message.CopyTo(frame.AsSpan(MessageFrame.HeaderSize));
        return frame;
    }

    /// <summary>Posts a body, with headers, and gives the whole answer.</summary>
    internal async Task<RawResponse> PostAsync(string path, byte[] body, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = CreateRequest(path, new ByteArrayContent(body));
        foreach ((string name, string value) in headers)
        {
            System.Net.Http.Headers.HttpHeaders target =
                name == GrpcProtocol.ContentTypeHeader ? request.Content!.Headers : request.Headers;
            target.Remove(name);
            target.TryAddWithoutValidation(name, value);
        }

        return await SendAsync(request);
    }

    internal static HttpRequestMessage CreateRequest(string path, HttpContent content)
    {
        HttpRequestMessage request = new(HttpMethod.Post, new Uri("http://localhost" + path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        content.Headers.TryAddWithoutValidation(GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType);
        request.Headers.TryAddWithoutValidation("te", "trailers");
        return request;
    }

    internal async Task<RawResponse> SendAsync(HttpRequestMessage request)
    {
        using HttpResponseMessage response = await _invoker.SendAsync(request, Xunit.TestContext.Current.CancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(Xunit.TestContext.Current.CancellationToken);
        Dictionary<string, string> headers = new(StringComparer.Ordinal);
        bool trailersOnly = response.Headers.Contains(GrpcProtocol.StatusHeader);
        foreach ((string name, System.Net.Http.Headers.HeaderStringValues values) in response.Headers.NonValidated)
        {
            headers[name] = values.ToString();
        }

        foreach ((string name, System.Net.Http.Headers.HeaderStringValues values) in response.TrailingHeaders.NonValidated)
        {
            headers[name] = values.ToString();
        }

        return new RawResponse(response.StatusCode, body, headers, trailersOnly);
    }

    public void Dispose() => _invoker.Dispose();
}

/// <summary>An answer, trailers among its headers.</summary>
internal sealed record RawResponse(HttpStatusCode Http, byte[] Body, Dictionary<string, string> Headers, bool TrailersOnly)
{
    internal StatusCode Status => (StatusCode)int.Parse(Headers[GrpcProtocol.StatusHeader], System.Globalization.CultureInfo.InvariantCulture);

    internal string Message => PercentEncoding.Decode(Headers[GrpcProtocol.MessageHeader]);
}
