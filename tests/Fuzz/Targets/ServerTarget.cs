using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Health.V1;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace BarBroker.Fuzz.Targets;

/// <summary>
/// A whole server, to which each input is what a client says after HTTP/2's preface. It must end the connection once the client has said it
/// all, log no error, and serve others: of which there is room for few, so that a connection that is never over shows.
/// </summary>
internal sealed class ServerTarget : IFuzzTarget
{
    private const int MaxConnections = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    private readonly TestLog _log = new();

    /// <summary>Windows within which a user may offend so often pass from one input to the next: otherwise most would be refused unread.</summary>
    private readonly FakeTimeProvider _time = new();
    private TestLog.Entry? _error;
    private DirectoryInfo? _directory;
    private GrpcServer? _server;

    public string Name => "server";

    private string SocketPath => Path.Combine(_directory!.FullName, "fuzz.sock");

    public async ValueTask RunAsync(byte[] input)
    {
        await StartAsync();
        _time.Advance(TransportLimits.OffenceWindow + TransportLimits.ArrivalWindow);
        await SayAsync(input);
        await IsServingAsync();
        if (Volatile.Read(ref _error) is { } error)
        {
            throw new FuzzFault($"It logged {error.EventId}: {error.Message}", error.Exception);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
            _directory!.Delete(recursive: true);
        }
    }

    private async Task StartAsync()
    {
        if (_server is null)
        {
            _directory = Directory.CreateTempSubdirectory("bar-broker-fuzz-");
            _server = new GrpcServer(
                new GrpcServerOptions
                {
                    Endpoints = [new GrpcEndpoint { SocketPath = SocketPath, Services = [], MaxConnections = MaxConnections }],
                },
                _log,
                _time);
            _log.Logged = entry =>
            {
                if (entry.Level > LogLevel.Warning)
                {
                    Volatile.Write(ref _error, entry);
                }
            };
            await _server.StartAsync(CancellationToken.None);
        }
    }

    /// <summary>Says it all, and hears the rest until the server hangs up.</summary>
    private async Task SayAsync(byte[] input)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using CancellationTokenSource limit = new(Patience);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), limit.Token);
            await socket.SendAsync(Preface, limit.Token);
            Task hearing = HearAsync(socket, limit.Token);
            await socket.SendAsync(input, limit.Token);
            socket.Shutdown(SocketShutdown.Send);
            await hearing;
        }
        catch (SocketException)
        {
            // It has heard enough.
        }
        catch (OperationCanceledException exception)
        {
            throw new FuzzFault($"It does not hang up within {Patience.TotalSeconds} s.", exception);
        }
    }

    private static async Task HearAsync(Socket socket, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[64 * 1024];
        while (await socket.ReceiveAsync(buffer, cancellationToken) > 0)
        {
        }
    }

    /// <summary>Asks until there is room: a connection's place is free some time after its end.</summary>
    private async Task IsServingAsync()
    {
        using CancellationTokenSource limit = new(Patience);
        while (true)
        {
            try
            {
                await AskAsync(limit.Token);
                return;
            }
            catch (RpcException exception)
            {
                if (limit.IsCancellationRequested)
                {
                    throw new FuzzFault("Another client is not served.", exception);
                }
            }
        }
    }

    private async Task AskAsync(CancellationToken cancellationToken)
    {
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(SocketPath, cancellationToken);
        HealthCheckResponse answer = await channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(
            "/grpc.health.v1.Health/Check", new HealthCheckRequest(), new CallOptions(CancellationToken: cancellationToken));
        if (answer.Status != HealthCheckResponse.Types.ServingStatus.Serving)
        {
            throw new FuzzFault($"Another client hears {answer}.");
        }
    }
}
