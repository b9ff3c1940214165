using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;

namespace BarBroker.Fuzz.Targets;

/// <summary>
/// A whole client, to which each input is what a server says once it has heard the preface: connecting and one call after it end, with an
/// answer or with RpcException.
/// </summary>
internal sealed class ClientTarget : IFuzzTarget
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private Socket? _listener;
    private DirectoryInfo? _directory;

    public string Name => "client";

    private string SocketPath => Path.Combine(_directory!.FullName, "fuzz.sock");

    public async ValueTask RunAsync(byte[] input)
    {
        if (_listener is null)
        {
            _directory = Directory.CreateTempSubdirectory("bar-broker-fuzz-");
            _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
            _listener.Listen();
        }

        Task serving = SayAsync(_listener, input);
        try
        {
            await CallAsync().WaitAsync(Patience);
            await serving.WaitAsync(Patience);
        }
        catch (TimeoutException exception)
        {
            throw new FuzzFault($"It waits for more than {Patience.TotalSeconds} s.", exception);
        }
    }

    public ValueTask DisposeAsync()
    {
        _listener?.Dispose();
        _directory?.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task CallAsync()
    {
        try
        {
            await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(SocketPath, CancellationToken.None);
            await channel.UnaryAsync<ErrorResponse, ErrorResponse>("/barbroker.test.Test/Unary", new ErrorResponse(), default);
        }
        catch (RpcException)
        {
            // That is how a call may end.
        }
    }

    private static async Task SayAsync(Socket listener, byte[] input)
    {
        using Socket socket = await listener.AcceptAsync();
        try
        {
            await socket.ReceiveAsync(new byte[24], SocketFlags.None);

            // SETTINGS: without them a client hears nothing else.
            await socket.SendAsync(new byte[] { 0, 0, 0, 4, 0, 0, 0, 0, 0 });
            await socket.SendAsync(input);
            socket.Shutdown(SocketShutdown.Send);
            byte[] buffer = new byte[4096];
            while (await socket.ReceiveAsync(buffer, SocketFlags.None) > 0)
            {
            }
        }
        catch (SocketException)
        {
            // It has heard enough.
        }
    }
}
